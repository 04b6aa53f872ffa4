//! [`Media`]: how a request came in, and how it is answered.

use std::fmt;
use std::str::FromStr;

use super::excerpt;

/// A kind of interaction: of the request, or of the response to it. Default voice.
///
/// Text and serde form are the lower-case names: `voice`, `voip`, `email`, `sms`, `mms`, `video_mail`,
/// `video_call`, `web`, `chat`. The order of declaration is part of stored fingerprints and records: new media go to the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Media {
    /// A call over the telephone network.
    #[default]
    Voice,
    /// A call over the internet.
    Voip,
    /// An e-mail.
    Email,
    /// A text message.
    Sms,
    /// A multimedia message.
    Mms,
    /// A recorded video message.
    VideoMail,
    /// A video call.
    VideoCall,
    /// A web form or page.
    Web,
    /// A chat session.
    Chat,
}

impl Media {
    /// Every media, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Voice,
        Self::Voip,
        Self::Email,
        Self::Sms,
        Self::Mms,
        Self::VideoMail,
        Self::VideoCall,
        Self::Web,
        Self::Chat,
    ];

    /// The lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Voip => "voip",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Mms => "mms",
            Self::VideoMail => "video_mail",
            Self::VideoCall => "video_call",
            Self::Web => "web",
            Self::Chat => "chat",
        }
    }

    /// The media that is stored as this number, `media as u8`.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    const EXPECTED: &str = "one of voice, voip, email, sms, mms, video_mail, video_call, web, chat";
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Media {
    type Err = ParseMediaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|media| media.as_str() == text);
        known.ok_or_else(|| ParseMediaError {
            value: excerpt(text),
        })
    }
}

/// A text that names no [`Media`]; says the text (cut at some 80 bytes) and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {}", Media::EXPECTED)]
pub struct ParseMediaError {
    value: String,
}

impl ParseMediaError {
    /// The text, cut where it is long.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What was expected.
    #[must_use]
    pub fn expected(&self) -> &str {
        Media::EXPECTED
    }
}

/// Serde for an enum of bare keywords with `ALL`, `as_str` and `EXPECTED`: a string, and nothing but a string.
/// (serde's own derive also reads `{"voice": null}`.)
macro_rules! keyword_serde {
    ($keyword:ty) => {
        impl serde::Serialize for $keyword {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $keyword {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Keyword;

                impl serde::de::Visitor<'_> for Keyword {
                    type Value = $keyword;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(<$keyword>::EXPECTED)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$keyword, E> {
                        let known = <$keyword>::ALL
                            .into_iter()
                            .find(|known| known.as_str() == text);
                        known.ok_or_else(|| {
                            E::invalid_value(serde::de::Unexpected::Str(text), &self)
                        })
                    }
                }

                deserializer.deserialize_str(Keyword)
            }
        }
    };
}

pub(crate) use keyword_serde;

keyword_serde!(Media);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_media_is_read_from_the_name_it_writes() {
        for media in Media::ALL {
            assert_eq!(media.to_string().parse(), Ok(media));
            let json = serde_json::to_string(&media).unwrap();
            assert_eq!(json, format!("\"{media}\""));
            assert_eq!(serde_json::from_str::<Media>(&json).unwrap(), media);
        }
        assert_eq!(Media::default(), Media::Voice);
    }

    #[test]
    fn other_words_and_other_forms_are_errors() {
        assert_eq!("fax".parse::<Media>().unwrap_err().value(), "fax");
        for json in ["\"Voice\"", "\"fax\"", "{\"voice\":null}", "0", "null"] {
            assert!(serde_json::from_str::<Media>(json).is_err(), "{json}");
        }
    }
}
