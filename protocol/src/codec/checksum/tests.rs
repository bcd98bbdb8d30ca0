use super::*;
use crate::codec::envelope;

const MESSAGE: &[u8] = b"\x94\x00\x01\xa4sync\x90";

fn digest(checksum: Checksum, value: u64) -> Digest {
    Digest { checksum, value }
}

#[test]
fn a_check_is_a_notification_with_a_number_of_full_width() {
    for checksum in Checksum::ALL {
        let mut out = Vec::new();
        envelope::write_notification_head(&mut out, checksum.name());
        envelope::write_map(&mut out, &(u64::MAX,));
        assert_eq!(out, bytes(digest(checksum, u64::MAX)));
        let seven = digest(checksum, 7);
        assert_eq!((read(&bytes(seven)), read(&out[..17])), (Some(seven), None));
        for bit in 0..10 * 8 {
            let mut altered = bytes(seven);
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&altered), None);
        }
    }
}

#[test]
fn the_digests_are_those_of_the_published_functions() {
    // The check value of CRC-32/ISO-HDLC (zlib), and the XXH3-64 of no bytes.
    assert_eq!(Checksum::Crc32.digest(b"123456789"), 0xcbf4_3926);
    assert_eq!(Checksum::Xxh3.digest(b""), 0x2d06_8005_38d3_94c2);
}

#[test]
fn what_is_written_in_any_manner_is_what_its_check_says() {
    for checksum in Checksum::ALL.map(Some) {
        let (mut whole, mut lent) = (b"before".to_vec(), b"before".to_vec());
        let at = write(&mut whole, checksum, |out| out.extend_from_slice(MESSAGE));
        assert_eq!((&whole[at..], at), (MESSAGE, 6 + LENGTH));
        let open = begin(&mut lent, checksum);
        lent.extend_from_slice(&MESSAGE[..4]);
        finish_lending(&mut lent, open, &MESSAGE[4..]);
        assert_eq!(lent, whole[..whole.len() - MESSAGE.len() + 4]);
        let mut verifier = Verifier::new(checksum);
        assert_eq!(verifier.verify(&whole[6..at]), Ok(Verified::Check));
        assert_eq!((verifier.verify(&whole[at..]), verifier.was_checked()), (Ok(Verified::Message), true));
        let mut running = RunningDigest::new(read(&whole[6..at]).expect("a check"));
        running.update(&MESSAGE[..3]);
        assert!(!running.matches());
        running.update(&MESSAGE[3..]);
        assert!(running.matches());
    }
    let mut bare = Vec::new();
    assert_eq!(write(&mut bare, None, |out| out.extend_from_slice(MESSAGE)), 0);
    assert_eq!(bare, MESSAGE);
}

#[test]
fn what_is_not_as_agreed_was_altered() {
    for checksum in Checksum::ALL {
        let right = bytes(Digest::of(MESSAGE, checksum));
        for agreed in [None, Some(checksum)] {
            let verifier = || Verifier::new(agreed);
            let alone = match agreed {
                Some(_) => Err(Corruption::Unchecked(MESSAGE.len())),
                None => Ok(Verified::Message),
            };
            assert_eq!(verifier().verify(MESSAGE), alone);
            let after = |check: &[u8], message: &[u8]| {
                let mut verifier = verifier();
                assert_eq!(verifier.verify(check), Ok(Verified::Check));
                assert!(verifier.is_known() && !verifier.was_checked());
                verifier.verify(message)
            };
            assert_eq!(after(&right, MESSAGE), Ok(Verified::Message));
            assert_eq!(after(&bytes(digest(checksum, 7)), MESSAGE), Err(Corruption::Mismatch(MESSAGE.len())));
            assert_eq!(after(&right, &right), Err(Corruption::Twice));
        }
    }
    // The upper half of a CRC-32 check must be zero.
    let mut high = bytes(Digest::of(MESSAGE, Checksum::Crc32));
    high[HEAD] = 1;
    let mut verifier = Verifier::default();
    assert_eq!(verifier.verify(&high), Ok(Verified::Check));
    assert_eq!(verifier.verify(MESSAGE), Err(Corruption::Mismatch(MESSAGE.len())));
}

#[test]
fn once_checks_are_agreed_all_are_of_the_kind_of_the_first() {
    let of = |checksum| bytes(Digest::of(MESSAGE, checksum));
    for [first, other] in [Checksum::ALL, [Checksum::Crc32, Checksum::Xxh3]] {
        let mut verifier = Verifier::default();
        assert_eq!(verifier.verify(&of(first)), Ok(Verified::Check));
        assert_eq!(verifier.verify(MESSAGE), Ok(Verified::Message));
        assert_eq!(verifier.agreed(), None);
        verifier.agree();
        assert_eq!(verifier.agreed(), Some(first));
        assert_eq!(verifier.verify(&of(other)), Err(Corruption::Kind));
    }
    let mut verifier = Verifier::default();
    verifier.agree();
    assert_eq!(verifier.agreed(), Some(Checksum::Xxh3), "of a client that has sent none");
}

#[test]
fn only_a_message_that_a_check_preceded_counts_as_checked() {
    for checksum in Checksum::ALL {
        let mut verifier = Verifier::new(None);
        for plain in [MESSAGE, &[0x90; LENGTH]] {
            assert_eq!(verifier.verify(&bytes(Digest::of(MESSAGE, checksum))), Ok(Verified::Check));
            assert_eq!((verifier.verify(MESSAGE), verifier.was_checked()), (Ok(Verified::Message), true));
            assert_eq!((verifier.verify(plain), verifier.was_checked()), (Ok(Verified::Message), false));
        }
    }
}
