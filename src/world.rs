//! What a request is handled with: configuration, platform and the isolate's memory.

use crate::cache::{Cache, Claims};
use crate::config::Config;
use crate::port::Platform;
use crate::time::Timestamp;
use crate::user::UserId;

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

    /// Whether what a credential with these claims has to be judged by is in memory and young enough.
    #[must_use]
    pub fn knows_all_of(&self, claims: &Claims, now: Timestamp) -> bool {
        let span = self.config.user_cache;
        let knows = |user: &UserId| self.cache.user(user, span, now).is_some();
        match claims {
            Claims::Session(claims) => {
                knows(&claims.user) && self.cache.session_ended(&claims.id, span, now).is_some()
            }
            Claims::Sso(claims) => knows(&claims.user),
            Claims::ApiToken(claims) => knows(&claims.user),
            Claims::Foreign(claims) => claims.known_user().is_some_and(|user| knows(&user)),
        }
    }
}
