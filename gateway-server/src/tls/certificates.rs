//! The certificates of all listeners.

use std::sync::Arc;

use super::{Certificate, Files};

/// Of each listener that has one. Those with the same files share it.
pub struct Certificates(Vec<Option<Arc<Certificate>>>);

impl Certificates {
    pub fn load<'a>(files: impl Iterator<Item = Option<&'a Files>>) -> anyhow::Result<Self> {
        let mut certificates: Vec<Option<Arc<Certificate>>> = Vec::new();
        for files in files {
            let known = certificates.iter().flatten().find(|one| files == Some(one.files()));
            certificates.push(match (known, files) {
                (Some(known), _) => Some(Arc::clone(known)),
                (None, Some(files)) => Some(Arc::new(Certificate::load(files.clone())?)),
                (None, None) => None,
            });
        }
        Ok(Self(certificates))
    }

    pub fn of_listener(&self, number: usize) -> Option<Arc<Certificate>> {
        self.0.get(number).cloned().flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Each once.
    pub fn all(&self) -> Arc<[Arc<Certificate>]> {
        let mut distinct: Vec<Arc<Certificate>> = Vec::new();
        for certificate in self.0.iter().flatten() {
            if !distinct.iter().any(|one| Arc::ptr_eq(one, certificate)) {
                distinct.push(Arc::clone(certificate));
            }
        }
        distinct.into()
    }
}
