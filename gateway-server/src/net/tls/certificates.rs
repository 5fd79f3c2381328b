//! The certificates of all listeners and of the register port.

use std::sync::Arc;

use super::{Certificate, Files};

/// All certificates. Ports that name the same files share one.
pub struct Certificates {
    listeners: Vec<Option<Arc<Certificate>>>,
    register: Option<Arc<Certificate>>,
}

impl Certificates {
    /// Loads the certificates of the listeners, in their order, and the one of the register port. `None` stands for a port
    /// without TLS.
    pub fn load(listeners: &[Option<Files>], register: Option<&Files>) -> anyhow::Result<Self> {
        let mut distinct: Vec<Arc<Certificate>> = Vec::new();
        let mut load = |files: Option<&Files>| -> anyhow::Result<Option<Arc<Certificate>>> {
            let Some(files) = files else { return Ok(None) };
            if let Some(known) = distinct.iter().find(|one| one.files() == files) {
                return Ok(Some(Arc::clone(known)));
            }
            let certificate = Arc::new(Certificate::load(files.clone())?);
            distinct.push(Arc::clone(&certificate));
            Ok(Some(certificate))
        };
        let listeners = listeners.iter().map(|files| load(files.as_ref())).collect::<Result<_, _>>()?;
        let register = load(register)?;
        Ok(Self { listeners, register })
    }

    pub fn of_listener(&self, number: usize) -> Option<Arc<Certificate>> {
        self.listeners.get(number).cloned().flatten()
    }

    pub fn of_register(&self) -> Option<Arc<Certificate>> {
        self.register.clone()
    }

    /// All certificates, each of them once.
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
