//! How errors print where a program returns them from `main`: as a sentence for a person.

use std::error::Error;
use std::fmt::{self, Write};

/// Prints an error as its sentence, and below it those of its sources that the sentence does not have already. This is what
/// `{:?}` prints of the errors of these crates, which is what a `main` shows that returns one; `{:#?}` prints their fields.
#[doc(hidden)]
pub fn sentence(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut said = error.to_string();
    f.write_str(&said)?;
    let (mut source, mut is_first) = (error.source(), true);
    while let Some(cause) = source {
        let text = cause.to_string();
        // The system's reasons end with their number, which a sentence leaves out.
        let words = text.split(" (os error ").next().unwrap_or(&text).to_lowercase();
        if !said.to_lowercase().contains(&words) {
            f.write_str(if is_first { "\n\nCaused by:\n    " } else { "\n    " })?;
            f.write_str(&text)?;
            write!(said, "\n{text}")?;
            is_first = false;
        }
        source = cause.source();
    }
    Ok(())
}

/// Makes `{:?}` of an error its [`sentence`], and `{:#?}` its fields. The variants with named fields come first, then those
/// with one unnamed field, then those with none.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_as_sentence {
    ($Error:ident { $($Named:ident { $($field:ident),+ })* } ($($Tuple:ident)*) [$($Unit:ident)*]) => {
        /// `{:?}` is the sentence that `{}` prints, with the causes that are not in it; `{:#?}` has the fields.
        impl ::std::fmt::Debug for $Error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                if !f.alternate() {
                    return $crate::sentence(self, f);
                }
                match self {
                    $($Error::$Named { $($field),+ } => {
                        f.debug_struct(stringify!($Named))$(.field(stringify!($field), $field))+.finish()
                    })*
                    $($Error::$Tuple(inner) => f.debug_tuple(stringify!($Tuple)).field(inner).finish(),)*
                    $($Error::$Unit => f.write_str(stringify!($Unit)),)*
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::fmt;

    #[derive(thiserror::Error)]
    enum Sample {
        #[error("there is no {what} (connection refused)")]
        Refused { what: u32, source: std::io::Error },
        #[error("it failed")]
        Failed(#[source] fmt::Error),
        #[error("nothing")]
        Nothing,
    }

    crate::debug_as_sentence!(Sample { Refused { what, source } } (Failed) [Nothing]);

    #[test]
    fn an_error_prints_its_sentence_and_the_causes_that_are_not_in_it() {
        let source = std::io::ErrorKind::ConnectionRefused.into();
        let refused = Sample::Refused { what: 7, source };
        assert_eq!(format!("{refused:?}"), "there is no 7 (connection refused)");
        let fields = format!("{refused:#?}");
        assert!(fields.starts_with("Refused {\n    what: 7,\n    source: "), "{fields}");
        let failed = Sample::Failed(fmt::Error);
        let cause = fmt::Error.to_string();
        assert_eq!(format!("{failed:?}"), format!("it failed\n\nCaused by:\n    {cause}"));
        assert_eq!(format!("{:?} {:#?}", Sample::Nothing, Sample::Nothing), "nothing Nothing");
    }
}
