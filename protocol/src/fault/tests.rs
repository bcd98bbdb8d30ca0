use super::*;
use crate::table::{Call, Request};

#[test]
fn a_fault_survives_the_wire_and_unknown_fields_do_no_harm() {
    let fault = Fault::of_pixels(Code::OutOfBounds, "no", vec![Range { first: 3, count: 2 }]);
    let bytes = rmp_serde::to_vec_named(&fault).unwrap();
    assert_eq!(rmp_serde::from_slice::<Fault>(&bytes).unwrap(), fault);
    assert_eq!(fault.to_string(), "out_of_bounds: no");

    #[derive(Serialize)]
    struct Newer {
        code: &'static str,
        message: &'static str,
        since: u32,
    }
    let bytes = rmp_serde::to_vec_named(&Newer { code: "haunted", message: "boo", since: 3 }).unwrap();
    let fault: Fault = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(fault.code, Code::Other("haunted".into()));
}

#[test]
fn fields_survive_the_wire_under_keys_of_their_own() {
    let call = Call::DrawPixels { pixels: crate::Count(6) };
    let size = Size { width: 4, height: 2 };
    let at = Position { x: 4, y: -1 };
    let fault = Fault::out_of_bounds(&call, size, vec![Range { first: 3, count: 1 }], vec![at]);
    let bytes = rmp_serde::to_vec_named(&fault).unwrap();
    let again: Fault = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(again, fault);
    assert_eq!((again.size(), again.outside(), again.limit()), (Some(size), &[at][..], None));
    assert_eq!(again.rejected().iter().flat_map(Range::indexes).collect::<Vec<_>>(), [3]);

    let digest = Request::GetDigest { x: 0, y: 0, width: 9, height: 9 };
    let fault = Fault::too_large(&digest, 81, 80);
    let bytes = rmp_serde::to_vec_named(&fault).unwrap();
    assert_eq!(rmp_serde::from_slice::<Fault>(&bytes).unwrap().limit(), Some(80));
}

#[test]
fn a_client_of_an_earlier_version_reads_the_keys_that_it_knows() {
    #[derive(Deserialize)]
    struct Earlier {
        code: Code,
        message: String,
        #[serde(default)]
        rejected: Vec<Range>,
    }
    let call = Call::DrawPixels { pixels: crate::Count(6) };
    let (size, at) = (Size { width: 4, height: 2 }, Position { x: 4, y: -1 });
    let sent = Fault::out_of_bounds(&call, size, vec![Range { first: 3, count: 1 }], vec![at]);
    let bytes = rmp_serde::to_vec_named(&sent).unwrap();
    let read: Earlier = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(
        (read.code, &read.message, &*read.rejected),
        (sent.code.clone(), &sent.message, sent.rejected())
    );
}

#[test]
fn a_display_of_an_earlier_version_sends_only_the_indexes() {
    #[derive(Serialize)]
    struct Earlier {
        code: &'static str,
        message: &'static str,
        rejected: Vec<(u32, u32)>,
    }
    let earlier = Earlier { code: "out_of_bounds", message: "no", rejected: vec![(1, 2)] };
    let mut fault: Fault = rmp_serde::from_slice(&rmp_serde::to_vec_named(&earlier).unwrap()).unwrap();
    assert_eq!(fault, Fault::of_pixels(Code::OutOfBounds, "no", vec![Range { first: 1, count: 2 }]));
    let call = Call::DrawPixels { pixels: crate::Count(3) };
    fault.set_size(Some(Size { width: 4, height: 2 }));
    fault.restate(&call);
    assert_eq!(fault.message, "2 of 3 pixels are outside 4x2: by index 1, 2");
}

#[test]
fn a_lying_display_makes_a_client_keep_no_more_positions_than_are_named() {
    #[derive(Serialize)]
    struct Lying {
        code: &'static str,
        message: &'static str,
        outside: Vec<(i32, i32)>,
    }
    let lying = Lying { code: "out_of_bounds", message: "no", outside: vec![(1, 1); 1_000] };
    let mut fault: Fault = rmp_serde::from_slice(&rmp_serde::to_vec_named(&lying).unwrap()).unwrap();
    assert_eq!(fault.outside().len(), NAMED);
    fault.join(fault.clone());
    assert_eq!(fault.outside().len(), NAMED);
}

#[test]
fn the_words_of_a_display_cannot_do_anything_to_a_terminal() {
    let mut fault = Fault::new(Code::Other("c\u{1b}[m".into()), "a\u{202e}b\n");
    assert_eq!(fault.to_string(), "c\\u{1b}[m: a\\u{202e}b\\n");
    fault.shorten(100);
    assert_eq!((fault.code.as_str(), &*fault.message), ("c\\u{1b}[m", "a\\u{202e}b\\n"));
}

#[test]
fn every_code_is_its_own_text() {
    for (code, meaning) in Code::ALL {
        assert_eq!(&Code::from(code.as_str().to_owned()), code);
        assert!(meaning.ends_with('.'));
    }
}

#[test]
fn placing_drops_ranges_that_lie() {
    let ranges = [(0, 1), (9, 1), (9, 1), (3, 2), (9, 2), (5, 0), (u32::MAX, 2)].map(Range::from);
    let mut fault = Fault::of_pixels(Code::OutOfBounds, "", ranges.to_vec());
    fault.place(100, 10);
    assert_eq!(fault.rejected(), [(100, 1), (109, 1)].map(Range::from));
}
