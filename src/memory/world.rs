//! What every step of a request works with: configuration, platform and caches.

use crate::memory::cache::Cache;
use crate::platform::port::Platform;
use crate::site::config::Config;

/// Everything in an isolate that outlives a request.
pub struct World {
    pub config: Config,
    pub platform: Platform,
    pub cache: Cache,
}

impl World {
    /// A world with empty caches.
    #[must_use]
    pub fn new(config: Config, platform: Platform) -> Self {
        let cache = Cache::default();
        cache.tally.switch(platform.monitor.is_bound());
        Self {
            config,
            platform,
            cache,
        }
    }
}
