//! The proxy and its port. The port is open, or it refuses connections while the network is cut.

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

use super::connection::{self, Mode, State};
use crate::port;

/// How many times the proxy tries to open a port.
const BINDS_MAX: u32 = 100;
/// The pause before the next try to reopen the proxy's port.
const BIND_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A proxy in the runtime of the test that started it. Dropping it closes its port and its connections.
pub struct Proxy {
    port: u16,
    target: SocketAddr,
    state: watch::Sender<State>,
    /// The task that accepts connections; `None` while the port is closed.
    accept_task: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy in front of a port of loopback.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(target_port: u16) -> anyhow::Result<Self> {
        let state = State {
            mode: Mode::Open,
            delay: Duration::ZERO,
        };
        let mut proxy = Self {
            port: 0,
            target: SocketAddr::from((Ipv4Addr::LOCALHOST, target_port)),
            state: watch::Sender::new(state),
            accept_task: None,
        };
        for _ in 0..BINDS_MAX {
            proxy.port = port::free()?;
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, proxy.port)).await {
                proxy.spawn_accept_task(listener);
                return Ok(proxy);
            }
        }
        bail!("there is no free port for the proxy")
    }

    /// The proxy's port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same URL with the proxy's host and port. The host `localhost` stays, because a certificate may name it.
    ///
    /// # Errors
    /// If `url` is not the URL of a server.
    pub fn url_via(&self, url: &str) -> anyhow::Result<String> {
        let mut url = Url::parse(url).context("parsing the URL of the server behind the proxy")?;
        if url.host_str() != Some("localhost") {
            url.set_host(Some("127.0.0.1"))?;
        }
        url.set_port(Some(self.port))
            .map_err(|()| anyhow!("the URL of the server behind the proxy cannot have a port"))?;
        Ok(url.into())
    }

    /// Cuts the network: every connection ends, and new connections are refused until [`heal`](Self::heal) or
    /// [`stall`](Self::stall).
    pub async fn cut(&mut self) {
        self.set_mode(Mode::Cut);
        if let Some(accept_task) = self.accept_task.take() {
            accept_task.abort();
            // The port closes when the task has ended.
            let _ = accept_task.await;
        }
    }

    /// Holds all bytes back, like a network that loses all packets. Connections stay open and new ones are
    /// accepted. Bytes that were sent before may still arrive.
    ///
    /// # Errors
    /// If the network was cut and another process has taken the port since then.
    pub async fn stall(&mut self) -> anyhow::Result<()> {
        self.set_mode(Mode::Stalled);
        self.listen_again().await
    }

    /// Lets all bytes pass again, first the bytes that were held back. After a cut, the proxy accepts new connections again.
    ///
    /// # Errors
    /// If the network was cut and another process has taken the port since then.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        self.set_mode(Mode::Open);
        self.listen_again().await
    }

    /// Sets the delay of all bytes, in each direction. At most 64 KiB are in transit in one direction of a connection.
    pub fn set_delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    fn set_mode(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    async fn listen_again(&mut self) -> anyhow::Result<()> {
        if self.accept_task.is_some() {
            return Ok(());
        }
        let mut binds = 1;
        let listener = loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await {
                Ok(listener) => break listener,
                Err(_) if binds < BINDS_MAX => binds += 1,
                Err(error) => return Err(error).context("reopening the proxy's port"),
            }
            tokio::time::sleep(BIND_RETRY_PAUSE).await;
        };
        self.spawn_accept_task(listener);
        Ok(())
    }

    fn spawn_accept_task(&mut self, listener: TcpListener) {
        let (target, state) = (self.target, self.state.subscribe());
        self.accept_task = Some(tokio::spawn(async move {
            // The end of this task ends its connections.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((client, _)) = accepted {
                        connections.spawn(connection::relay(client, target, state.clone()));
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accept_task) = self.accept_task.take() {
            accept_task.abort();
        }
    }
}
