//! Which pages of other origins may read a site's answers (Fetch standard, CORS).

/// Which pages of other origins may read answers.
#[derive(Debug)]
pub struct Cors {
    /// The origins, each in the form in which a browser names it.
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
