//! The smallest honest use: a customer asks to be called back at nine, and at nine the router is told.

use duewheel::{
    AccessPoint as _, Consultation, Disposition, DueRequest, Engine, JsonAccessPoint, Router,
    RoutingCommand, Timestamp,
};

struct Desk;

impl Router for Desk {
    fn consult(&self, _due: &DueRequest) -> Consultation {
        Consultation::default() // Nobody waits, and the centre is open.
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        println!("{}: request {} is routed", command.released, command.id);
        Disposition::Routed
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(Desk);
    let access_point = JsonAccessPoint::new(engine.directory().clone());
    let message = br#"{"id": 12, "location": "AA0101", "schedule": {"times": [
        {"at": "2026-01-05T09:00:00+02:00", "condition": {"wait_below": "60s"}}]}}"#;
    let mut now: Timestamp = "2026-01-05T06:00:00Z".parse()?;
    let receipt = engine.schedule(access_point.detect(message)?.into_request(), now)?;
    println!("{now}: request {} is {}", receipt.id, receipt.state);
    while let Some(wakeup) = engine.next_wakeup() {
        now = now.max(wakeup); // A router sleeps until then, or has `Engine::start` do it.
        while engine.poll(now, 1_000)?.more {}
    }
    Ok(())
}
