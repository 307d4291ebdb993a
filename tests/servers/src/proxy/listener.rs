//! The proxy's own port: open, or refusing while the network is cut.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use url::Url;

use super::link::{self, Mode, State};
use crate::port;

const BINDS_MAX: u32 = 20;
const BETWEEN_BINDS: Duration = Duration::from_millis(100);

/// A proxy at a port of its own, which lives in the runtime of the test that started it. Gone when dropped,
/// with its connections.
pub struct Proxy {
    port: u16,
    target: SocketAddr,
    state: watch::Sender<State>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy to a port of loopback.
    ///
    /// # Errors
    /// When it finds no port to listen on.
    pub async fn start(target_port: u16) -> anyhow::Result<Self> {
        let state = State {
            mode: Mode::Open,
            delay: Duration::ZERO,
        };
        let mut proxy = Self {
            port: 0,
            target: SocketAddr::from((Ipv4Addr::LOCALHOST, target_port)),
            state: watch::Sender::new(state),
            accepting: None,
        };
        for _ in 0..BINDS_MAX {
            proxy.port = port::free()?;
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, proxy.port)).await {
                proxy.accept(listener);
                return Ok(proxy);
            }
        }
        bail!("no port for the proxy")
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same address, but by way of this proxy. The host stays where it is `localhost`, whose name a
    /// certificate may carry.
    ///
    /// # Errors
    /// When it is no address of a server.
    pub fn url_via(&self, url: &str) -> anyhow::Result<String> {
        let mut url = Url::parse(url).context("the address to reach by the proxy")?;
        if url.host_str() != Some("localhost") {
            url.set_host(Some("127.0.0.1"))?;
        }
        url.set_port(Some(self.port))
            .map_err(|()| anyhow!("an address without a port"))?;
        Ok(url.into())
    }

    /// Cuts the network: every connection ends, and new ones are refused until [`heal`](Self::heal).
    pub async fn cut(&mut self) {
        self.set_mode(Mode::Cut);
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // The port is closed once the task is gone.
            let _ = accepting.await;
        }
    }

    /// Lets nothing pass any more, while connections stay and new ones are accepted: what a network does
    /// that loses everything. What had been sent before may still arrive.
    ///
    /// # Errors
    /// When it was cut, and its port has been taken meanwhile.
    pub async fn stall(&mut self) -> anyhow::Result<()> {
        self.set_mode(Mode::Stalled);
        self.listen_again().await
    }

    /// Lets everything pass again, what was held back first.
    ///
    /// # Errors
    /// When it was cut, and its port has been taken meanwhile.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        self.set_mode(Mode::Open);
        self.listen_again().await
    }

    /// Makes everything arrive this much later, in each direction. At most 64 KiB are on their way in one
    /// direction of a connection at a time.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    fn set_mode(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    async fn listen_again(&mut self) -> anyhow::Result<()> {
        if self.accepting.is_some() {
            return Ok(());
        }
        let mut tries = 1;
        let listener = loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await {
                Ok(listener) => break listener,
                Err(_) if tries < BINDS_MAX => tries += 1,
                Err(error) => return Err(error).context("listening again at the proxy's port"),
            }
            tokio::time::sleep(BETWEEN_BINDS).await;
        };
        self.accept(listener);
        Ok(())
    }

    fn accept(&mut self, listener: TcpListener) {
        let (target, state) = (self.target, self.state.subscribe());
        self.accepting = Some(tokio::spawn(async move {
            // Its connections end with this task.
            let mut links = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((client, _)) = accepted {
                        links.spawn(link::carry(client, target, state.clone()));
                    },
                    Some(_) = links.join_next() => {}
                }
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}
