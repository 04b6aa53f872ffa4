//! Service access points: where requests are received, where it is detected whether one is deferrable, and
//! where its schedule data is identified.

mod error;
mod json;
mod message;

use crate::request::InteractionRequest;

pub use error::{AccessError, AccessErrorKind};
pub use json::{JsonAccessPoint, JsonLimits};

/// Receives raw messages of one form and tells scheduled requests from immediate ones.
pub trait AccessPoint {
    /// What is wrong with a message.
    type Error: std::error::Error;

    /// Reads one message.
    ///
    /// # Errors
    /// Where the message is no valid request. Nothing of it is kept then, its location's name included.
    fn detect(&self, raw: &[u8]) -> Result<Detection, Self::Error>;
}

/// What an access point made of a message.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Detection {
    /// A request without schedule data: to be routed at once, as a non-scheduled interaction.
    Immediate(InteractionRequest),
    /// A request configured for scheduled processing.
    Scheduled(InteractionRequest),
}

impl Detection {
    /// The request.
    #[must_use]
    pub fn into_request(self) -> InteractionRequest {
        match self {
            Self::Immediate(request) | Self::Scheduled(request) => request,
        }
    }

    /// The request.
    #[must_use]
    pub const fn request(&self) -> &InteractionRequest {
        match self {
            Self::Immediate(request) | Self::Scheduled(request) => request,
        }
    }

    /// Whether the request carries schedule data.
    #[must_use]
    pub const fn is_scheduled(&self) -> bool {
        matches!(self, Self::Scheduled(_))
    }
}

impl From<InteractionRequest> for Detection {
    fn from(request: InteractionRequest) -> Self {
        if request.schedule.is_some() {
            Self::Scheduled(request)
        } else {
            Self::Immediate(request)
        }
    }
}
