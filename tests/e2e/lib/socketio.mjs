// A cluster of Socket.IO servers that take WebSockets alone, Pollux in front of them with round
// robin, and socket.io-client. Each server names itself, so that a session on two would be seen.
import http from 'node:http';

import { Server } from 'socket.io';
import { io } from 'socket.io-client';

import { Pollux } from './pollux.mjs';
import { atEnd } from './scope.mjs';
import { event, eventually, within } from './wait.mjs';

export const N_SERVERS = 3;

// What a client may ask for with its options.
export const MODES = {
	polling: { transports: ['polling'] },
	upgrade: { transports: ['polling', 'websocket'] },
	websocket: { transports: ['websocket'] },
};

class SocketIoServer {
	sockets = []; // of the main namespace, in the order connected
	reasons = []; // of their disconnects
	requests = []; // plain HTTP that reached it

	static async start(owner, name, options = {}) {
		const self = new SocketIoServer();
		self.name = name;
		self.http = http.createServer();
		self.io = new Server(self.http, { transports: ['websocket'], ...options });
		// It puts itself before those that listened before it.
		self.http.prependListener('request', (request) => {
			self.requests.push(`${request.method} ${request.url}`);
		});
		self.io.on('connection', (socket) => self.#greet(socket));
		self.http.listen(0, '127.0.0.1');
		await event(self.http, 'listening');
		self.address = `127.0.0.1:${self.http.address().port}`;
		atEnd(owner, () => new Promise((done) => {
			self.io.close(() => done());
			self.http.closeAllConnections();
		}));
		return self;
	}

	#greet(socket) {
		this.sockets.push(socket);
		socket.on('disconnect', (reason) => this.reasons.push(reason));
		socket.on('who', (done) => done(this.name));
		socket.on('echo', (...args) => args.pop()(...args));
		socket.on('say', (...args) => socket.emit('said', ...args));
		socket.on('join', (room, done) => {
			socket.join(room);
			done();
		});
		socket.on('tell', (room, text) => this.io.to(room).emit('told', text));
		socket.on('leave me', () => socket.disconnect(true));
		socket.on('leave the namespace', () => socket.disconnect());
		socket.on('headers', (done) => done(socket.handshake.headers, socket.handshake.query,
			socket.handshake.auth));
	}

	get nClients() {
		return this.io.engine.clientsCount;
	}
}

/*
 * { servers, pollux, connect }. `io`: options of the servers; `setUp(io, name)` runs for each before
 * anybody connects; `backends(servers)`: those of the configuration; the rest as in Pollux.start.
 */
export async function socketIoStage(t, { io: options = {}, setUp = () => {}, route = {}, nServers = N_SERVERS,
	backends = (all) => ({ app: { servers: all } }), ...rest } = {}) {
	const servers = [];
	for (let i = 0; i < nServers; i++) {
		const server = await SocketIoServer.start(t, `server ${i}`, options);
		setUp(server.io, server.name);
		servers.push(server);
	}
	const pollux = await Pollux.start(t, {
		backends: backends(servers),
		route: Array.isArray(route) ? route : [{ path: '/socket.io', bridge: ['engineio'], ...route }],
		...rest,
	});
	const cluster = new Cluster(servers);
	const connect = (clientOptions = {}, path = '') => {
		const socket = io(`${pollux.url('').replace(/\/$/, '')}${path}`, {
			forceNew: true, reconnection: false, ...clientOptions,
		});
		atEnd(t, () => socket.disconnect());
		return socket;
	};
	return { servers, pollux, cluster, connect };
}

class Cluster {
	constructor(servers) {
		this.servers = servers;
	}

	get nClients() {
		return this.servers.reduce((sum, { nClients }) => sum + nClients, 0);
	}

	get reasons() {
		return this.servers.flatMap(({ reasons }) => reasons);
	}

	// The reasons, once there are so many.
	async left(n, ms = undefined) {
		await eventually(() => this.reasons.length >= n, `${n} clients leaving the servers`, ms);
		return this.reasons;
	}
}

// The client is connected; an error of the connection rejects.
export async function connected(socket, ms = undefined) {
	if (socket.connected)
		return socket;
	await within(new Promise((done, fail) => {
		socket.once('connect', done);
		socket.once('connect_error', fail);
	}), 'connecting to Socket.IO', ms);
	return socket;
}

// The engine has moved to its WebSocket.
export async function upgraded(socket, ms = undefined) {
	const { engine } = socket.io;
	if (engine.transport.name === 'websocket')
		return;
	await within(new Promise((done) => engine.once('upgrade', done)), 'the upgrade', ms);
}

// Connected in this mode, the upgrade included where there is one.
export async function settled(socket, mode) {
	await connected(socket);
	if (mode === 'upgrade')
		await upgraded(socket);
	return socket;
}

export function ask(socket, ...args) {
	return socket.timeout(15_000).emitWithAck(...args);
}

// The next event of a client: its arguments.
export function heard(socket, name, ms = undefined) {
	return within(new Promise((done) => socket.once(name, (...args) => done(args))),
		`event ${name} of Socket.IO`, ms);
}
