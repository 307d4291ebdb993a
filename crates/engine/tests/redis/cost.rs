//! temp
use std::time::Duration;
use forebay_shared::store::*;
use servers::redis::RedisOptions;
use crate::{connect, drive::{Driver, worker}, info, server};
async fn cpu(s: &servers::redis::Redis) -> f64 { info(s,"cpu","used_cpu_sys:").await.parse::<f64>().unwrap() + info(s,"cpu","used_cpu_user:").await.parse::<f64>().unwrap() }
fn own() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (f[11].parse::<f64>().unwrap()+f[12].parse::<f64>().unwrap())/100.0 }
#[tokio::test]
async fn cost() {
    let server = server(RedisOptions::default()).await;
    let mut stores = vec![];
    for _ in 0..6 { stores.push(connect(server.url()).await); }
    // some data
    let mut set = tokio::task::JoinSet::new();
    let (c0, o0) = (cpu(&server).await, own());
    let t = std::time::Instant::now();
    for w in 0..64 { let st = stores[w % 6].clone(); set.spawn(async move { for n in 0..50 {
        let lane = Driver::session(&st, &format!("s{w}-{n}"));
        let e = forebay_shared::lane::Event::Admit(lane.admission(lane.job()));
        let (c, _) = lane.commit(&Loaded::default(), &e, vec![]).unwrap(); st.commit(&c).await.unwrap(); } }); }
    set.join_all().await;
    println!("admit: {:.0}/s redis {:.1} us, client(dev) {:.1} us", 3200.0/t.elapsed().as_secs_f64(), (cpu(&server).await-c0)*1e6/3200.0, (own()-o0)*1e6/3200.0);
    let (c0, o0) = (cpu(&server).await, own());
    let mut set = tokio::task::JoinSet::new();
    for (n, st) in stores.iter().cloned().enumerate() { set.spawn(async move { for _ in 0..5 {
        st.counts().await.unwrap(); st.announce(&worker(&format!("w{n}")), 3000).await.unwrap();
        if n == 0 { for _ in 0..4 { st.due(st.now(), 500).await.unwrap(); st.elect(&worker("w0"), 1000).await.unwrap(); tokio::time::sleep(Duration::from_millis(245)).await; } st.prune(500).await.unwrap(); }
        else { tokio::time::sleep(Duration::from_millis(980)).await; } } }); }
    set.join_all().await;
    println!("idle fleet of 6: redis {:.2} % of a core, clients {:.2} % (dev)", (cpu(&server).await-c0)*100.0/5.0, (own()-o0)*100.0/5.0);
    let t = std::time::Instant::now(); let c0 = cpu(&server).await; for _ in 0..20 { stores[0].counts().await.unwrap(); } println!("counts {:?} redis {:.0} us", t.elapsed()/20, (cpu(&server).await-c0)*1e6/20.0);
    let t = std::time::Instant::now(); let c0 = cpu(&server).await; for _ in 0..20 { stores[0].due(stores[0].now(), 500).await.unwrap(); } println!("due {:?} redis {:.0} us", t.elapsed()/20, (cpu(&server).await-c0)*1e6/20.0);
    let t = std::time::Instant::now(); let c0 = cpu(&server).await; for _ in 0..20 { stores[0].heads(HeadFilter::Running, None, 500).await.unwrap(); } println!("heads none {:?} redis {:.0} us", t.elapsed()/20, (cpu(&server).await-c0)*1e6/20.0);
}
