//! What a request is handled with: configuration, platform and the isolate's memory.

use crate::memory::cache::Cache;
use crate::platform::port::Platform;
use crate::site::config::Config;

/// Everything that outlives a request in an isolate.
pub struct World {
    /// The configuration, free of errors.
    pub config: Config,
    /// The platform.
    pub platform: Platform,
    /// The isolate's memory.
    pub cache: Cache,
}

impl World {
    /// A world without memories.
    #[must_use]
    pub fn new(config: Config, platform: Platform) -> Self {
        Self {
            config,
            platform,
            cache: Cache::default(),
        }
    }
}
