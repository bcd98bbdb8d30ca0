use super::*;
use crate::table::tests::samples;

/// One row for each method. A new call needs a row here too, with a value in every column.
const TABLE: &str = "
    method        effect   answer  journal  split  join   cost
    draw_pixel    Draw     no      Append   Whole  Run    Call
    draw_pixels   Draw     no      Append   Batch  Alone  Batch
    fill_rect     Draw     no      Append   Whole  Alone  Area
    put_image     Draw     no      Append   Rows   Alone  Area
    clear         Draw     no      Append   Whole  Alone  Display
    add_pixel     Draw     no      Append   Whole  Alone  Call
    add_pixels    Draw     no      Append   Batch  Alone  Batch
    get_pixel     Read     yes     Observe  Whole  Alone  Call
    get_image     Read     yes     Observe  Rows   Alone  Area
    get_digest    Read     yes     Observe  Whole  Alone  Call
    get_size      Read     yes     Skip     Whole  Alone  Call
    get_mouse     Read     yes     Skip     Whole  Alone  Call
    sync          Barrier  yes     Skip     Whole  Alone  Call
    sync_durable  Barrier  yes     Flush    Whole  Alone  Call
";

#[test]
fn every_method_has_the_columns_of_this_table() {
    let rows = Method::ALL.iter().map(|method| {
        format!(
            "    {:<12}  {:<7}  {:<6}  {:<7}  {:<5}  {:<5}  {:?}\n",
            method.name(),
            format!("{:?}", method.effect()),
            if method.has_answer() { "yes" } else { "no" },
            format!("{:?}", method.journal()),
            format!("{:?}", method.split()),
            format!("{:?}", method.join()),
            method.cost()
        )
    });
    let head = "\n    method        effect   answer  journal  split  join   cost\n".to_owned();
    assert_eq!(head + &rows.collect::<String>(), TABLE);
}

#[test]
fn the_columns_of_a_method_agree() {
    for &method in Method::ALL {
        let (effect, journal) = (method.effect(), method.journal());
        // A journal is replayed to restore the picture, so it contains exactly the calls that change it.
        assert_eq!(effect == Effect::Draw, journal == JournalUse::Append, "{method:?}");
        // A call that changes nothing must have an answer.
        assert!(method.has_answer() || effect == Effect::Draw, "{method:?}");
        // A joined run is reported as one request, so no call in it may have an answer.
        assert!(method.join() == Join::Alone || !method.has_answer(), "{method:?}");
    }
}

#[test]
fn a_request_has_the_parameters_that_its_columns_speak_of() {
    for request in samples() {
        let method = request.method();
        let has = |name| method.parameters().iter().any(|&(other, _)| other == name);
        assert_eq!(request.extent().is_some(), has("width") && has("height"), "{method:?}");
        let has_pixels = method.parameters().iter().any(|&(_, kind)| kind == "Pixels");
        assert_eq!(request.pixels().is_some(), has_pixels, "{method:?}");
        let needs_pixels = method.split() == Split::Batch || method.cost() == Cost::Batch;
        let needs_extent = method.split() == Split::Rows || method.cost() == Cost::Area;
        assert!(has_pixels || !needs_pixels, "{method:?}");
        assert!(request.extent().is_some() || !needs_extent, "{method:?}");
        let Some(pixels) = request.pixels() else { continue };
        let again = Request::of_pixels(method, pixels).map(|request| request.call());
        assert_eq!(again, Some(request.call()), "{method:?}");
    }
}
