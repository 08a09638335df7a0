//! The one cryptography behind every TLS connection of this process. It opens none.

use std::sync::Once;

use rustls::crypto::aws_lc_rs;

/// Makes aws-lc-rs the provider of this process. The AWS SDK brings it along and names it itself; reqwest takes what
/// this installed. Call it first thing in `main`; calling it again does nothing.
pub fn install_provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // It fails only if somebody installed one before, and nobody else links a provider: see deny.toml.
        let _ = aws_lc_rs::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use rustls::crypto::CryptoProvider;

    #[test]
    fn the_provider_is_installed_once_and_for_all() {
        super::install_provider();
        super::install_provider();
        assert!(CryptoProvider::get_default().is_some());
    }
}
