//! The CORS settings of a site as they are written (Fetch standard, CORS).

use crate::config::raw::RawCors;
use crate::config::reader::{Field, Reader};
use crate::config::site::read_origins;
use crate::http::headers::is_token;
use crate::site::cors::Cors;

pub(super) fn read(reader: &mut Reader<'_>, field: Field<RawCors>) -> Option<Cors> {
    let raw = reader.optional("cors", field)?;
    let mut reader = reader.table("cors");
    reader.reject_unknown(&raw.unknown);
    if !raw.origins.is_given() {
        reader.error("origins", "is required");
    }
    let given = raw.origins.is_given();
    let origins = read_origins(&mut reader, "origins", raw.origins);
    reader.check(
        "origins",
        !given || !origins.is_empty(),
        "must name at least one origin",
    );
    let credentials = reader.required("credentials", raw.credentials);
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    let methods = reader.with_default("methods", raw.methods, list(&["GET", "HEAD", "POST"]));
    let headers = reader.with_default("headers", raw.headers, list(&["content-type"]));
    let expose = reader.with_default("expose", raw.expose, Vec::new());
    for (name, items) in [
        ("methods", &methods),
        ("headers", &headers),
        ("expose", &expose),
    ] {
        // With credentials, `*` is an ordinary name; without them, it allows everything, which is
        // never intended.
        let plain = items.iter().all(|item| is_token(item) && item != "*");
        reader.check(name, plain, "must be a list of names; * is not allowed");
    }
    let max_age = reader.with_default("max_age", raw.max_age, 600);
    reader.check("max_age", max_age <= 86_400, "must be at most a day");
    Some(Cors {
        origins,
        credentials: credentials?,
        methods: methods.join(", "),
        headers: headers.join(", ").to_ascii_lowercase(),
        expose: expose.join(", ").to_ascii_lowercase(),
        max_age: max_age.to_string(),
    })
}
