/** The packet thread behind the daemon's port: the addon is loaded here and nowhere else. */
export {
  type ControlPacket,
  type Dataplane,
  type DataplaneOptions,
  type Listener,
  openDataplane,
  type SessionCounters,
  type SessionSpec,
  type SessionState,
  type Upcall,
} from 'l2tp-dataplane';
