//! The texts of the doctor, word for word, at simulated times.

use super::*;
use crate::doctor::sites::Sites;
use crate::error::{Lost, Outcome};
use draw_protocol::{Color, Pixel};
use std::panic::Location;
use std::time::Duration;

#[track_caller]
fn here() -> CallSite {
    Location::caller()
}

const PIXEL: Request<'_> = Request::DrawPixel { x: 1, y: 2, color: Color::RED };
const RECT: Request<'_> = Request::FillRect { x: 0, y: 0, width: 9, height: 9, color: Color::RED };
const SYNC: Request<'_> = Request::Sync {};

/// A doctor and its clock.
struct Patient {
    doctor: Doctor,
    began: Instant,
    now: Instant,
    calls: u64,
}

impl Patient {
    fn new(client: Client) -> Patient {
        let now = Instant::now();
        Patient { doctor: Doctor::new(client, now), began: now, now, calls: 0 }
    }

    fn passes(&mut self, us: u64) {
        self.now += Duration::from_micros(us);
    }

    /// Makes a synchronous call.
    fn call(&mut self, place: CallSite, request: &Request<'_>, us: u64) {
        let at = self.now;
        self.passes(us);
        self.doctor.called(request, place, at, self.now);
        self.calls += 1;
    }

    /// Makes a call without waiting for its answer.
    fn make(&mut self, place: CallSite, request: &Request<'_>) -> u64 {
        self.calls += 1;
        self.doctor.made(self.calls, request, place, Some(self.now));
        self.calls
    }

    fn wait(&mut self, number: u64) {
        self.doctor.answer_awaited(number, self.now);
    }

    fn answered(&mut self, number: u64) {
        self.doctor.done(number, self.now);
        self.doctor.wait_ended(Wait::Answer(number), || self.now);
    }

    /// Makes a call of the asynchronous client and waits for its answer.
    fn call_and_wait(&mut self, place: CallSite, request: &Request<'_>, us: u64) {
        let number = self.make(place, request);
        self.wait(number);
        self.passes(us);
        self.answered(number);
    }

    fn diagnosis(&self) -> Diagnosis {
        self.doctor.diagnosis(0, self.now)
    }

    /// Compares the text of the diagnosis `ms` milliseconds after the beginning.
    #[track_caller]
    fn says(&mut self, ms: u64, expected: &str) {
        self.now = self.began + Duration::from_millis(ms);
        assert_eq!(self.diagnosis().to_string(), expected);
    }
}

#[test]
fn a_loop_of_synchronous_pixels_is_the_classic() {
    let mut patient = Patient::new(Client::Blocking);
    let place = here();
    for _ in 0..7_500 {
        patient.call(place, &PIXEL, 1_099);
        patient.passes(1);
    }
    patient.says(
        8_400,
        &format!(
            "doctor: 7,500 calls waited for their answer at {place} draw_pixel, 1.1 ms each, 8.2 s of the program's \
             8.4 s.\n        One draw_pixels, or the asynchronous Display, would take about 6 ms.\n"
        ),
    );
}

#[test]
fn replies_that_are_awaited_need_not_be() {
    for client in [Client::Asynchronous, Client::Pipeline] {
        let mut patient = Patient::new(client);
        let place = here();
        for _ in 0..100 {
            patient.call_and_wait(place, &PIXEL, 10_000);
        }
        patient.says(
            1_000,
            &format!(
                "doctor: 100 calls waited for their answer at {place} draw_pixel, 10 ms each, 1 s of the program's 1 s.\n        \
                 One draw_pixels, or one sync at the end instead of a wait for each reply, would take about 10 ms.\n"
            ),
        );
    }
}

#[test]
fn rows_that_something_comes_between_are_as_many_batches() {
    let mut patient = Patient::new(Client::Blocking);
    let (pixels, mouse) = (here(), here());
    for _ in 0..20 {
        for _ in 0..50 {
            patient.call(pixels, &PIXEL, 1_000);
        }
        patient.call(mouse, &Request::GetMouse {}, 2_000);
    }
    assert_eq!(patient.diagnosis().sites.iter().map(|site| site.rows).collect::<Vec<_>>(), [20, 20]);
    patient.says(
        1_100,
        &format!(
            "doctor: 1,000 calls waited for their answer at {pixels} draw_pixel, 1 ms each, 1 s of the program's 1.1 s.\n        \
             One draw_pixels for each 50 in a row would take about 20 ms, the asynchronous Display about 1.6 ms.\n\
             doctor: 20 calls waited at 1 more place, 40 ms in all.\n"
        ),
    );
}

#[test]
fn what_no_batch_takes_is_not_told_to_be_batched() {
    let mut patient = Patient::new(Client::Blocking);
    let (rects, pixels) = (here(), here());
    for _ in 0..100 {
        // Calls of the two sites alternate.
        patient.call(rects, &RECT, 20_000);
        patient.call(pixels, &PIXEL, 10_000);
    }
    patient.says(
        3_000,
        &format!(
            "doctor: 100 calls waited for their answer at {rects} fill_rect, 20 ms each, 2 s of the program's 3 s.\n        \
             The asynchronous Display would take about 20 ms.\n\
             doctor: 100 calls waited for their answer at {pixels} draw_pixel, 10 ms each, 1 s of the program's 3 s.\n        \
             The asynchronous Display would take about 10 ms.\n"
        ),
    );
}

#[test]
fn images_that_fill_the_path_are_not_the_round_trips_fault() {
    let mut patient = Patient::new(Client::Blocking);
    let (place, image) = (here(), vec![0; 250_000]);
    for _ in 0..20 {
        patient.call(place, &Request::PutImage { x: 0, y: 0, width: 250, height: 250, rgba: &image }, 30_000);
    }
    patient.says(
        600,
        &format!(
            "doctor: 20 calls waited for their answer at {place} put_image, 30 ms each, 600 ms of the program's 600 ms.\n"
        ),
    );
}

#[test]
fn questions_have_to_wait_but_perhaps_together() {
    let pixel = Request::GetPixel { x: 1, y: 1 };
    let image = Request::GetImage { x: 1, y: 1, width: 10, height: 10 };
    let together = |how| {
        format!(
            "These have to wait, but 100 in a row could be asked together if none needs the answer before it: {how}, in \
             about 10 ms."
        )
    };
    for (client, request, advice) in [
        (Client::Blocking, pixel, together("by one get_image of their rectangle")),
        (Client::Pipeline, pixel, together("by one get_image of their rectangle")),
        (Client::Asynchronous, pixel, together("by futures::join!, or by one get_image of their rectangle")),
        (
            Client::Blocking,
            image,
            together("by the asynchronous Display and futures::join!").replace("10 ms", "13 ms"),
        ),
        (Client::Asynchronous, image, together("by futures::join!").replace("10 ms", "13 ms")),
        (Client::Asynchronous, Request::GetMouse {}, "These return something, so they have to wait.".into()),
        (
            Client::Asynchronous,
            Request::GetSize {},
            "The size does not change: size() knows it without asking.".into(),
        ),
    ] {
        let mut patient = Patient::new(client);
        let (place, method) = (here(), request.method().name());
        for _ in 0..100 {
            patient.call_and_wait(place, &request, 10_000);
        }
        patient.says(
            1_000,
            &format!(
                "doctor: 100 calls waited for their answer at {place} {method}, 10 ms each, 1 s of the program's 1 s.\n        \
                 {advice}\n"
            ),
        );
    }
}

#[test]
fn questions_asked_together_are_no_row() {
    let mut patient = Patient::new(Client::Asynchronous);
    let place = here();
    let request = Request::GetPixel { x: 1, y: 1 };
    for _ in 0..20 {
        let numbers: Vec<_> = (0..10).map(|_| patient.make(place, &request)).collect();
        numbers.iter().for_each(|&number| patient.wait(number));
        patient.passes(10_000);
        numbers.iter().for_each(|&number| patient.answered(number));
        patient.make(here(), &PIXEL);
        patient.doctor.done(patient.calls, patient.now);
    }
    let site = &patient.diagnosis().sites[0];
    assert_eq!((site.calls, site.waits, site.rows), (200, 200, 200));
    // Ten calls waited at a time.
    assert_eq!((site.waited, site.held), (Duration::from_secs(2), Duration::from_millis(200)));
    patient.says(
        250,
        &format!(
            "doctor: 200 calls waited for their answer at {place} get_pixel, 10 ms each, 200 ms of the program's 250 ms.\n        \
             These return something, so they have to wait.\n"
        ),
    );
}

#[test]
fn calls_that_were_made_before_the_wait_are_no_row() {
    let mut patient = Patient::new(Client::Asynchronous);
    let place = here();
    let (first, second) = (patient.make(place, &PIXEL), patient.make(place, &PIXEL));
    for number in [first, second] {
        patient.wait(number);
        patient.passes(10_000);
        patient.answered(number);
    }
    assert_eq!(patient.diagnosis().sites[0].rows, 2);
    patient.call_and_wait(place, &PIXEL, 10_000);
    assert_eq!(patient.diagnosis().sites[0].rows, 2, "this one waited for the second");
}

#[test]
fn many_syncs_are_told_by_what_they_are_for() {
    for (between, every) in
        [(0, "fewer calls than syncs"), (1, "one for every call"), (14, "one for every 14 calls")]
    {
        let mut patient = Patient::new(Client::Asynchronous);
        let (place, pixels) = (here(), here());
        for _ in 0..100 {
            (0..between).for_each(|_| _ = patient.make(pixels, &PIXEL));
            patient.call_and_wait(place, &SYNC, 5_000);
        }
        patient.says(
            1_000,
            &format!(
                "doctor: 100 calls waited for their answer at {place} sync, 5 ms each, 500 ms of the program's 1 s.\n        \
                 That is {every}. A single one at the end, if nothing before needs to know, would take about 5 ms.\n"
            ),
        );
    }
}

#[test]
fn a_few_waits_are_told_without_advice_and_short_ones_not_at_all() {
    let mut patient = Patient::new(Client::Blocking);
    let (few, one, short) = (here(), here(), here());
    (0..9).for_each(|_| patient.call(few, &PIXEL, 20_000));
    patient.call(one, &RECT, 120_000);
    (0..40).for_each(|_| patient.call(short, &PIXEL, 1_000));
    patient.says(
        1_000,
        &format!(
            "doctor: 9 calls waited for their answer at {few} draw_pixel, 20 ms each, 180 ms of the program's 1 s.\n\
             doctor: 1 call waited for its answer at {one} fill_rect, 120 ms of the program's 1 s.\n\
             doctor: 40 calls waited at 1 more place, 40 ms in all.\n"
        ),
    );
}

#[test]
fn many_short_waits_at_many_places_are_told_by_the_worst_of_them() {
    let mut patient = Patient::new(Client::Blocking);
    let places = [here(), here(), here(), here(), here(), here(), here()];
    for (i, place) in places.into_iter().enumerate() {
        patient.call(place, &RECT, 40_000 - i as u64);
    }
    patient.passes(720_000);
    let text = patient.diagnosis().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(
        lines[0],
        format!(
            "doctor: 1 call waited for its answer at {} fill_rect, 40 ms of the program's 1 s.",
            places[0]
        )
    );
    assert_eq!(lines[5], "doctor: 2 calls waited at 2 more places, 80 ms in all.");
}

#[test]
fn a_program_that_hardly_waits_is_told_that_it_is_well() {
    let mut patient = Patient::new(Client::Asynchronous);
    patient.says(7, "doctor: nothing to improve: no call was made in 7 ms.\n");
    let place = here();
    (0..7_860).for_each(|_| _ = patient.make(place, &PIXEL));
    patient.says(9, "doctor: nothing to improve: 7,860 calls in 9 ms, and none waited.\n");
    patient.call_and_wait(place, &SYNC, 400);
    patient.says(900, "doctor: nothing to improve: 7,861 calls, 1 waited, 400 us of the program's 900 ms.\n");
    // A single wait of a short program is not reported, whatever its share.
    patient.says(9, "doctor: nothing to improve: 7,861 calls, 1 waited, 400 us of the program's 9 ms.\n");
    let mut patient = Patient::new(Client::Asynchronous);
    patient.call_and_wait(place, &SYNC, 4_000);
    patient.says(9, "doctor: nothing to improve: 1 call, 1 waited, 4 ms of the program's 9 ms.\n");
}

#[test]
fn waiting_for_credit_says_who_is_slow() {
    let mut patient = Patient::new(Client::Asynchronous);
    let place = here();
    for turn in 0..3 {
        patient.doctor.credit_awaited(turn, Method::DrawPixel, place, patient.now);
    }
    patient.passes(600_000);
    for turn in 0..3 {
        patient.doctor.wait_ended(Wait::Credit(turn), || patient.now);
        let number = patient.make(place, &PIXEL);
        patient.doctor.done(number, patient.now);
    }
    let site = &patient.diagnosis().sites[0];
    assert_eq!((site.credit_waits, site.credit_waited), (3, Duration::from_millis(1_800)));
    assert_eq!((site.waits, site.held), (0, Duration::ZERO));
    patient.says(
        900,
        "doctor: 3 calls waited for credit, 600 ms in all, of the program's 900 ms: the display or the path is slower \
         than the program.\n",
    );
}

#[test]
fn errors_that_were_not_reported_and_idle_time_are_told() {
    let mut patient = Patient::new(Client::Asynchronous);
    let number = patient.make(here(), &PIXEL);
    patient.passes(300_000);
    patient.answered(number);
    patient.says(
        60_000,
        "doctor: nothing to improve: 1 call in 60 s, and none waited.\n\
         doctor: the connection was idle 99 % of its 60 s: the program spends its time elsewhere.\n",
    );
    patient.doctor.unclaimed(1);
    assert_eq!(
        patient.doctor.diagnosis(2, patient.began + Duration::from_millis(310)).to_string(),
        "doctor: 3 calls failed and were not reported: an error callback would receive the errors, and so would a sync or close.\n"
    );
}

#[test]
fn two_that_wait_at_the_same_time_count_once_in_the_programs_time() {
    let mut patient = Patient::new(Client::Asynchronous);
    let (one, other) = (here(), here());
    let first = patient.make(one, &SYNC);
    patient.wait(first);
    patient.passes(100_000);
    let second = patient.make(other, &SYNC);
    patient.wait(second);
    patient.passes(200_000);
    let on_the_way = patient.diagnosis();
    assert_eq!(on_the_way.held, Duration::from_millis(300));
    assert_eq!(on_the_way.sites[0].held, Duration::from_millis(300));
    patient.answered(first);
    patient.passes(100_000);
    patient.answered(second);
    patient.passes(600_000);
    let diagnosis = patient.diagnosis();
    assert_eq!((diagnosis.held, diagnosis.idle), (Duration::from_millis(400), Duration::from_millis(600)));
    let waited: Vec<_> = diagnosis.sites.iter().map(|site| site.waited.as_millis()).collect();
    assert_eq!(waited, [300, 300]);
}

#[test]
fn whoever_waits_when_the_connection_ends_has_waited_until_then() {
    let mut patient = Patient::new(Client::Asynchronous);
    let number = patient.make(here(), &SYNC);
    patient.wait(number);
    patient.passes(100_000);
    patient.doctor.ended(number, patient.now);
    patient.passes(500_000);
    patient.answered(number);
    let diagnosis = patient.doctor.last_diagnosis(patient.now).unwrap();
    assert_eq!(
        (diagnosis.held, diagnosis.sites[0].waited),
        (Duration::from_millis(100), Duration::from_millis(100))
    );
    assert!(patient.doctor.last_diagnosis(patient.now).is_none(), "it is printed once");
}

fn gone(outcome: Outcome) -> Error {
    Error::Disconnected { reason: Lost::Eof.into(), outcome }
}

#[test]
fn sites_whose_calls_failed_are_told_with_their_outcomes_worst_first_and_the_others_together() {
    let mut patient = Patient::new(Client::Asynchronous);
    let places = [here(), here(), here(), here(), here(), here(), here()];
    let (unknown, rejected) = (gone(Outcome::Unknown), gone(Outcome::Rejected));
    let failures: [(&Error, u64); 8] = [
        (&unknown, 1),
        (&rejected, 1),
        (&unknown, 3),
        (&rejected, 2_000),
        (&Error::Dropped, 7),
        (&rejected, 1),
        (&unknown, 1),
        (&unknown, 5),
    ];
    for ((error, times), place) in failures.into_iter().zip(places.iter().chain([&places[3]])) {
        let number = patient.make(place, &PIXEL);
        (0..times).for_each(|_| patient.doctor.failed(Method::DrawPixel, place, error));
        patient.doctor.done(number, patient.now);
    }
    (0..3).for_each(|_| patient.doctor.failed(Method::DrawPixel, places[3], &Error::Dropped));
    let at = |i: usize| format!("{} draw_pixel", places[i]);
    patient.says(
        900,
        &format!(
            "doctor: 2,003 calls at {} were rejected, and it is unknown whether 5 more were executed; 3 of those rejected were \
             dropped while the display was offline or behind.\n\
             doctor: 7 calls at {} were rejected: dropped while the display was offline or behind.\n\
             doctor: it is unknown whether 3 calls at {} were executed.\n\
             doctor: it is unknown whether 1 call at {} was executed.\n\
             doctor: it is unknown whether 1 call at {} was executed.\n\
             doctor: 2 calls at 2 more places were rejected.\n",
            at(3),
            at(4),
            at(2),
            at(0),
            at(6),
        ),
    );
    let diagnosis = patient.diagnosis();
    assert_eq!((diagnosis.rejected, diagnosis.dropped, diagnosis.unknown), (2_012, 10, 10));
}

#[test]
fn one_line_is_one_site_wherever_its_description_lies() {
    let mut sites = Sites::new(3);
    let place = here();
    let again: CallSite = Box::leak(Box::new(*place));
    assert_ne!(std::ptr::from_ref(place), std::ptr::from_ref(again));
    for place in [place, again, place, again] {
        sites.called(place, Method::DrawPixel, 8);
    }
    sites.called(place, Method::Clear, 32);
    let calls: Vec<_> = sites.iter().map(|account| account.site(Instant::now()).calls).collect();
    assert_eq!(calls, [4, 1], "another method is another site");
}

#[test]
fn sites_beyond_the_most_are_counted_together() {
    let mut sites = Sites::new(2);
    let places =
        [here(), here(), here(), here(), here(), here(), here(), here(), here(), here(), here(), here()];
    for place in places.into_iter().cycle().take(36) {
        sites.called(place, Method::DrawPixel, 8);
    }
    let sites: Vec<_> = sites.iter().map(|account| account.site(Instant::now())).collect();
    assert_eq!(sites.iter().map(|site| site.calls).collect::<Vec<_>>(), [3, 3, 30]);
    assert!(sites[1].location.is_some() && sites[2].location.is_none() && sites[2].method.is_none());

    let mut diagnosis = Patient::new(Client::Blocking).diagnosis();
    let mut site = sites[2].clone();
    (site.waits, site.held, site.waited) = (30, Duration::from_secs(3), Duration::from_secs(3));
    diagnosis.findings = vec![Finding::Waits { site, of: Duration::from_secs(4), cure: None }];
    assert_eq!(
        diagnosis.to_string(),
        "doctor: 30 calls waited for their answer at lines beyond the first 1,000, 100 ms each, 3 s of the \
         program's 4 s.\n"
    );
}

#[test]
fn what_is_under_way_takes_an_entry_for_each_row_of_calls() {
    let mut patient = Patient::new(Client::Asynchronous);
    let (pixels, rects) = (here(), here());
    (0..10_000).for_each(|_| _ = patient.make(pixels, &PIXEL));
    let last = patient.make(rects, &RECT);
    assert_eq!(patient.doctor.under_way.len(), 2);
    patient.doctor.done(9_999, patient.now);
    assert_eq!(patient.doctor.under_way.len(), 2);
    patient.doctor.done(10_000, patient.now);
    assert_eq!(patient.doctor.under_way.len(), 1);
    patient.wait(last);
    patient.passes(1);
    patient.answered(last);
    assert!(patient.doctor.under_way.is_empty());
    assert_eq!(patient.diagnosis().sites[0].location, Some(rects));
    // A call from before the doctor was started.
    patient.doctor.answer_awaited(5, patient.now);
    assert_eq!(patient.diagnosis().waits, 1);
}

#[test]
fn calls_weigh_what_they_carry() {
    let pixels = [Pixel::new(1, 1, Color::RED); 10];
    assert_eq!(weight(&PIXEL), 8);
    assert_eq!(weight(&Request::DrawPixels { pixels: (&pixels[..]).into() }), 112);
    assert_eq!(weight(&Request::PutImage { x: 0, y: 0, width: 2, height: 1, rgba: &[0; 8] }), 40);
    assert_eq!(weight(&Request::GetImage { x: 0, y: 0, width: 3, height: 2 }), 56);
    assert!(weight(&Request::GetImage { x: 0, y: 0, width: u32::MAX, height: u32::MAX }) > 1 << 60);
}
