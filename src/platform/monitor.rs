//! What the platform knows of all isolates together, and of its own parts.

use crate::platform::port::{Fault, Pending};

/// The counters of all isolates, and the state of what the platform consists of.
pub trait Monitor {
    /// Whether the counters of the isolates are added up anywhere. If not, none counts.
    fn is_bound(&self) -> bool;
    /// The sums of all isolates, those of this one included, in the text format of Prometheus. `families` has a line for each
    /// metric: name, type, and what it is; `build` the version and the ids of all services, whose outboxes are asked.
    fn sums<'a>(&'a self, families: &'a str, build: &'a str) -> Pending<'a, Result<String, Fault>>;
    /// A line for each part that is bound, and for each of `origins`, which are lines of a name and the URL: its name, and
    /// after a space what is wrong with it, if anything.
    /// The look begins with the call.
    fn parts<'a>(&'a self, origins: &'a str) -> Pending<'a, Result<String, Fault>>;
}
