//! The certificates of all listeners and of the register port.

use std::sync::Arc;

use super::{Certificate, Files};
use crate::config::Settings;

/// All certificates; those with the same files are one.
pub struct Certificates {
    listeners: Vec<Option<Arc<Certificate>>>,
    register: Option<Arc<Certificate>>,
}

impl Certificates {
    pub fn load(settings: &Settings) -> anyhow::Result<Self> {
        let mut distinct: Vec<Arc<Certificate>> = Vec::new();
        let mut load = |files: &Option<Files>| -> anyhow::Result<Option<Arc<Certificate>>> {
            let Some(files) = files else { return Ok(None) };
            if let Some(known) = distinct.iter().find(|one| one.files() == files) {
                return Ok(Some(Arc::clone(known)));
            }
            let certificate = Arc::new(Certificate::load(files.clone())?);
            distinct.push(Arc::clone(&certificate));
            Ok(Some(certificate))
        };
        let listeners =
            settings.listeners.iter().map(|listener| load(&listener.tls)).collect::<Result<_, _>>()?;
        let register = load(&settings.register_tls)?;
        Ok(Self { listeners, register })
    }

    pub fn of_listener(&self, number: usize) -> Option<Arc<Certificate>> {
        self.listeners.get(number).cloned().flatten()
    }

    pub fn of_register(&self) -> Option<Arc<Certificate>> {
        self.register.clone()
    }

    /// Each once.
    pub fn all(&self) -> Arc<[Arc<Certificate>]> {
        let mut distinct: Vec<Arc<Certificate>> = Vec::new();
        for certificate in self.listeners.iter().chain([&self.register]).flatten() {
            if !distinct.iter().any(|one| Arc::ptr_eq(one, certificate)) {
                distinct.push(Arc::clone(certificate));
            }
        }
        distinct.into()
    }
}
