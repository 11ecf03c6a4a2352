/** TUN devices behind the daemon's port: the addon is loaded here and nowhere else. */
export { openTuntap, type Route, type Tuntap, type TuntapOptions } from 'node-tuntap2';
