//! `mqtt_user`: MQTT 3.1.1 and 5, a connection for each broker that a user speaks to.

mod checks;
pub mod client;
pub mod codec;
mod connection;
mod deliveries;
mod inbox;
pub mod packet;
pub mod property;
pub mod reason;
mod request;

pub use client::MqttClient;
