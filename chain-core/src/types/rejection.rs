//! Why a message is refused, by number. Numbers are frozen: clients branch on them, blocks store
//! them. Each part of the house declares its own as constants; `tx::rejections` lists them all.
//!
//! Not here: faults of our own (`crate::Fault`), the JSON form of an error (chain-rpc).

use std::fmt;

/// One way to be refused: constant, declared where the rule is.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The frozen number.
    pub number: u16,
    /// A stable name in snake case.
    pub name: &'static str,
    /// What is wrong, as a sentence for the sender.
    pub message: &'static str,
}

impl Rejection {
    /// Declares a rejection.
    pub const fn new(number: u16, name: &'static str, message: &'static str) -> Self {
        Self { number, name, message }
    }

    /// Refuses without figures.
    pub fn plain(&'static self) -> Rejected {
        Rejected { rejection: self, figures: None }
    }

    /// Refuses and says what was expected and what came.
    pub fn because(&'static self, expected: impl fmt::Display, got: impl fmt::Display) -> Rejected {
        let figures = Some(Box::new(Figures { expected: expected.to_string(), got: got.to_string() }));
        Rejected { rejection: self, figures }
    }
}

/// A refusal of one message: the sender's problem, nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which rule refused.
    pub rejection: &'static Rejection,
    /// What was expected and what came, where that helps.
    pub figures: Option<Box<Figures>>,
}

/// The figures of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// What would have been accepted.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Rejected {
    /// The frozen number.
    pub fn number(&self) -> u16 {
        self.rejection.number
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.rejection.message, self.rejection.name)?;
        match &self.figures {
            Some(figures) => write!(f, ": expected {}, got {}", figures.expected, figures.got),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejected {}

/// Constants of rejections, one per line, and the list of them.
macro_rules! rejections {
    ($(#[$doc:meta])* $list:ident = $($number:literal $constant:ident $name:literal $message:literal;)*) => {
        $(
            #[doc = $message]
            pub const $constant: $crate::types::Rejection = $crate::types::Rejection::new($number, $name, $message);
        )*
        $(#[$doc])*
        pub const $list: &[&$crate::types::Rejection] = &[$(&$constant),*];
    };
}
pub(crate) use rejections;
