//! Connections that users share for calls of gRPC: who begins a call waits for no other one's, and what they begin at once goes out at once.
//!
//! A client of many users has a user of its own, who speaks and makes no load. He stands apart from the others, so that their hits can be
//! ended while his connections are at work.

use std::collections::{HashMap, VecDeque};

use crate::load::engine::Loop;
use crate::load::links::Talk;
use crate::load::user::{Next, User};
use crate::plan::message::Asked;
use crate::protocols::Link;
use crate::protocols::grpc::GrpcClient;
use crate::protocols::orders::{Lost, Reply};

/// Marks those who speak for many among the users.
pub const SHARED: u32 = 1 << 30;

/// Whose hit ended, in which of the plan's speeches, and how.
type End = (u32, usize, Result<Reply, Lost>);

/// All of a loop's.
#[derive(Default)]
pub struct Channels {
    /// None: he is at work.
    speakers: Vec<Option<Box<User>>>,
    /// Which speaker it is, by speech, the number of channels, and which of these.
    places: HashMap<(usize, u32, u32), usize>,
    is_busy: Vec<bool>,
    busy: Vec<usize>,
    ended: VecDeque<End>,
}

impl Channels {
    pub fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Channels::default();
    }

    pub fn note_end(&mut self, whose: u32, speech: usize, result: Result<Reply, Lost>) {
        self.ended.push_back((whose, speech, result));
    }

    fn call(&mut self, at: usize) {
        if !std::mem::replace(&mut self.is_busy[at], true) {
            self.busy.push(at);
        }
    }
}

impl Loop<'_> {
    /// The speaker whose channels the user's calls go on: users take turns.
    fn speaker_of(&mut self, user: &User, count: u32) -> usize {
        let key = (user.speech, count, user.number / self.plan.shards as u32 % count);
        if let Some(at) = self.channels.places.get(&key) {
            return *at;
        }
        let at = self.channels.speakers.len();
        let mut speaker = self.new_user(user.number);
        (speaker.id, speaker.next) = (SHARED | at as u32, Next::Rest);
        let client = Box::new(GrpcClient::shared(self.plan.max_body_bytes as usize));
        speaker.talks.push(Box::new(Talk::new(user.speech, client)));
        self.channels.speakers.push(Some(Box::new(speaker)));
        self.channels.is_busy.push(false);
        self.channels.places.insert(key, at);
        at
    }

    /// The user's hit goes to a client that he shares.
    pub fn begin_shared(&mut self, user: &User, request: &Asked, count: u32) {
        let at = self.speaker_of(user, count);
        let caller = user.caller();
        self.with_speaker(at, |core, speaker| {
            speaker.step = user.step;
            core.talk(speaker, 0, |_, _, talk, orders| {
                orders.caller = caller;
                talk.client.begin(request, orders);
            });
        });
    }

    /// The user's hit took too long: it ends with what came of it.
    pub fn give_up_shared(&mut self, user: &mut User, count: u32) {
        let at = self.speaker_of(user, count);
        let caller = user.caller();
        if !self.channels.ended.iter().any(|end| end.0 == caller.user) {
            self.with_speaker(at, |core, speaker| {
                core.talk(speaker, 0, |_, _, talk, orders| {
                    orders.caller = caller;
                    talk.client.late(orders);
                });
            });
        }
        if let Some(place) = self.channels.ended.iter().position(|end| end.0 == caller.user)
            && let Some((_, speech, result)) = self.channels.ended.remove(place)
        {
            self.end_talk(user, speech, result);
        }
    }

    /// Something happened on a connection.
    pub fn channel_stirred(&mut self, users: &mut [User], id: u32, link: Link, bits: u32) {
        self.with_speaker((id & !SHARED) as usize, |core, speaker| {
            if speaker.talk_with(link).is_some() {
                core.link_stirred(speaker, 0, link, bits);
            }
        });
        self.end_shared(users);
    }

    /// Names were resolved.
    pub fn channel_named(&mut self, users: &mut [User], id: u32) {
        self.with_speaker((id & !SHARED) as usize, |core, speaker| core.names_known(speaker));
        self.end_shared(users);
    }

    /// A timer of a client.
    pub fn channel_due(&mut self, users: &mut [User], id: u32, due_ns: i64) {
        self.with_speaker((id & !SHARED) as usize, |core, speaker| core.alarm(speaker, due_ns));
        self.end_shared(users);
    }

    /// Sends what was begun since the last time.
    pub fn run_channels(&mut self, users: &mut [User]) {
        if self.channels.busy.is_empty() && self.channels.ended.is_empty() {
            return;
        }
        for at in std::mem::take(&mut self.channels.busy) {
            self.channels.is_busy[at] = false;
            if let Some(mut speaker) = self.channels.speakers[at].take() {
                self.talk(&mut speaker, 0, |_, _, talk, orders| talk.client.turn(orders));
                self.channels.speakers[at] = Some(speaker);
            }
        }
        self.end_shared(users);
    }

    /// What he begins goes out at the speaker's next turn.
    fn with_speaker(&mut self, at: usize, act: impl FnOnce(&mut Self, &mut User)) {
        let Some(mut speaker) = self.channels.speakers.get_mut(at).and_then(Option::take) else { return };
        act(self, &mut speaker);
        self.channels.speakers[at] = Some(speaker);
        self.channels.call(at);
    }

    /// Users whose hits have ended go on.
    fn end_shared(&mut self, users: &mut [User]) {
        while let Some((id, speech, result)) = self.channels.ended.pop_front() {
            let user = &mut users[id as usize];
            self.end_talk(user, speech, result);
            self.drive(user, id);
        }
    }
}
