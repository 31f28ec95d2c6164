//! The watcher's own routes, on a listener of their own, because the upstream may have paths of the same names.

use super::{Shared, WatchSettings, sink::Sink};
use crate::{api, route::Route};
use actix_web::web::{self, ServiceConfig, post};
use std::sync::Arc;

/// The routes.
#[derive(Clone)]
pub(super) struct Routes {
    shared: Arc<Shared>,
    sink: web::Data<Sink>,
}

impl Routes {
    /// Prepares the routes.
    pub(super) fn new(shared: &Arc<Shared>, settings: &WatchSettings) -> Self {
        Self { shared: Arc::clone(shared), sink: web::Data::new(Sink::new(shared, settings)) }
    }

    /// Returns the store of rows and events that are sent to the watcher.
    pub(super) fn sink(&self) -> web::Data<Sink> {
        web::Data::clone(&self.sink)
    }

    /// Adds the routes.
    pub(super) fn add(&self, config: &mut ServiceConfig, scrapes: &web::Data<api::Scrapes>) {
        let state = &self.shared.state;
        config
            .app_data(web::Data::clone(&self.sink))
            .service(api::resource(state, Route::Observe, |r| r.route(post().to(super::sink::observe))))
            .service(api::resource(state, Route::CloudEvents, |r| {
                r.route(post().to(super::sink::cloud_event))
            }))
            .configure(|config| api::own_of_watcher(config, state, scrapes));
    }
}
