//! Creates the displays of the server, new or from their journals.

use super::Args;
use super::progress::Bar;
use display_server::displays::{is_same_directory, journal_directory, unserved_journals};
use display_server::journal::{DEFAULT_SIZE, Options};
use display_server::{Display, DisplayName, Error, Journal, RecoveredJournal, Server, ServerOptions, Size};
use std::iter;
use std::path::{Path, PathBuf};
use tracing::warn;

/// Creates the server, with new displays or with those of journals.
pub(super) fn server(args: &Args) -> Result<Server, Error> {
    let options = ServerOptions::default();
    let Some(directory) = &args.journal else {
        let first = Display::new(args.size.unwrap_or(DEFAULT_SIZE), args.background)?;
        return args.add.iter().try_fold(Server::new(first, options), |server, (name, size)| {
            let display = Display::new(*size, args.background).map_err(of(name))?;
            server.with_display(name.clone(), display)
        });
    };
    let (recovered, directories) = recover_all(args, directory)?;
    let mut journals = recovered.into_iter().map(|(name, recovered)| match recovered.begin() {
        Ok(journal) => Ok((name, journal)),
        Err(error) if args.add.is_empty() => Err(error.into()),
        Err(error) => Err(of(&name)(error.into())),
    });
    let (_, first) = journals.next().expect("the first display is always recovered")?;
    let server = Server::new(first.display().clone(), options).journaled(first);
    let server = journals.try_fold(server, |server, journal| {
        let (name, journal) = journal?;
        server.with_journaled(name, journal)
    })?;
    for warning in unserved_journals(directory, &directories) {
        warn!("{warning}");
    }
    Ok(server)
}

/// Returns the error of the display with this name.
fn of(name: &DisplayName) -> impl FnOnce(Error) -> Error + use<> {
    let name = name.to_string();
    |source| Error::Of { name, source: Box::new(source) }
}

type Recovered = (Vec<(DisplayName, RecoveredJournal)>, Vec<PathBuf>);

/// Recovers all displays from their journals, and changes no journal. Also returns their directories. The error has
/// those of all displays, so that it is known how much a loss that is accepted takes with it.
fn recover_all(args: &Args, directory: &Path) -> Result<Recovered, Error> {
    let is_only = args.add.is_empty();
    let main = (DisplayName::main(), args.size, directory.to_owned());
    let added =
        args.add.iter().map(|(name, size)| (name.clone(), Some(*size), journal_directory(directory, name)));
    let mut used: Vec<(DisplayName, PathBuf)> = Vec::new();
    let (mut recovered, mut errors) = (Vec::new(), Vec::new());
    for (name, size, directory) in iter::once(main).chain(added) {
        let what = if is_only { "recovering".to_owned() } else { format!("recovering {name}") };
        let found = match used.iter().find(|(_, other)| is_same_directory(other, &directory)) {
            Some((first, _)) => {
                let (first, name) = (first.to_string(), name.to_string());
                Err(Error::SameJournal { name, first, directory: directory.clone() })
            }
            None if is_only => recover(args, &directory, size, what),
            None => recover(args, &directory, size, what).map_err(of(&name)),
        };
        match found {
            Ok(found) => recovered.push((name.clone(), found)),
            Err(error) => errors.push(error),
        }
        used.push((name, directory));
    }
    match Error::of_several(errors) {
        Some(error) => Err(error),
        None => Ok((recovered, used.into_iter().map(|(_, directory)| directory).collect())),
    }
}

/// Recovers a display from its journal, with a progress bar named `what`.
fn recover(
    args: &Args,
    directory: &Path,
    size: Option<Size>,
    what: String,
) -> Result<RecoveredJournal, Error> {
    let mut bar = Bar::new(what);
    let options = Options {
        size,
        background: args.background,
        snapshot_after: args.journal_size << 20,
        accept_loss: args.accept_loss,
    };
    Ok(Journal::recover(directory, &options, &mut |done, total| bar.set(done, total))?)
}
