//! Which pages of other origins may read a site's responses (Fetch standard, CORS).

/// The CORS policy of a site.
#[derive(Debug)]
pub struct Cors {
    /// In the form of the `Origin` header.
    pub origins: Vec<String>,
    /// Whether their requests may carry cookies.
    pub credentials: bool,
    /// `Access-Control-Allow-Methods`.
    pub methods: String,
    /// `Access-Control-Allow-Headers`.
    pub headers: String,
    /// `Access-Control-Expose-Headers`; may be empty.
    pub expose: String,
    /// `Access-Control-Max-Age`.
    pub max_age: String,
}
