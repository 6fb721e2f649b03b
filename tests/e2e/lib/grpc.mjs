// gRPC's own server and client for Node. There is no code made from descriptions: messages are bytes
// as they are.
import grpc from '@grpc/grpc-js';

import { atEnd } from './scope.mjs';
import { Changing, within } from './wait.mjs';

export const { status: STATUS, Metadata } = grpc;

const same = (bytes) => bytes;

function method(name, requestStream, responseStream) {
	return {
		path: `/pollux.test.Echo/${name}`,
		requestStream,
		responseStream,
		requestSerialize: same,
		requestDeserialize: same,
		responseSerialize: same,
		responseDeserialize: same,
	};
}

const SERVICE = {
	unary: method('Unary', false, false),
	gather: method('Gather', true, false),
	scatter: method('Scatter', false, true),
	converse: method('Converse', true, true),
};

const LIMITS = {
	'grpc.max_receive_message_length': -1,
	'grpc.max_send_message_length': -1,
	'grpc.enable_http_proxy': 0,
};

export class GrpcServer extends Changing {
	calls = []; // in the order begun; `isCancelled` once they are

	// `handlers` by the names of SERVICE; those left out are not implemented. `tls`: { cert, key }.
	static async start(owner, handlers, { tls } = {}) {
		const self = new GrpcServer();
		self.server = new grpc.Server(LIMITS);
		self.server.addService(SERVICE, Object.fromEntries(Object.entries(handlers).map(
			([name, handler]) => [name, (call, ...rest) => {
				self.#note(call);
				handler(call, ...rest);
			}])));
		const credentials = tls === undefined
			? grpc.ServerCredentials.createInsecure()
			: grpc.ServerCredentials.createSsl(null,
				[{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }]);
		self.port = await within(new Promise((done, fail) => {
			self.server.bindAsync('127.0.0.1:0', credentials,
				(error, port) => (error ? fail(error) : done(port)));
		}), 'a gRPC server');
		self.address = `127.0.0.1:${self.port}`;
		atEnd(owner, () => self.stop());
		return self;
	}

	#note(call) {
		call.on('cancelled', () => {
			call.isCancelled = true;
			this.changed();
		});
		call.on('error', () => {}); // its cancelling is told by the other event
		this.calls.push(call);
		this.changed();
	}

	// The call with this number, once it has begun.
	async call(n = 0) {
		return this.until(() => this.calls[n], `call ${n} at the gRPC server`);
	}

	async cancelled(call) {
		return this.until(() => call.isCancelled, 'the cancelling of a call at the server');
	}

	stop() {
		this.server.forceShutdown();
	}
}

const EchoClient = grpc.makeGenericClientConstructor(SERVICE, 'Echo');

// `ca`: over TLS. Further options are those of grpc-js's channel.
export function grpcClient(owner, { host, port }, { ca, ...options } = {}) {
	const credentials = ca === undefined
		? grpc.credentials.createInsecure()
		: grpc.credentials.createSsl(ca);
	const client = new EchoClient(`${host}:${port}`, credentials, { ...LIMITS, ...options });
	atEnd(owner, () => client.close());
	return client;
}

// A unary or gathering call to its end: { value, error, head, status }, without throwing. `fill(call)`
// sends what is gathered.
export function finished(start, ms = undefined) {
	return within(new Promise((done) => {
		const got = {};
		const finish = () => {
			if ('value' in got && got.status !== undefined)
				done(got);
		};
		const call = start((error, value) => {
			Object.assign(got, { error, value });
			finish();
		});
		call.on('metadata', (head) => (got.head = head));
		call.on('status', (status) => {
			got.status = status;
			finish();
		});
	}), 'the end of a call', ms);
}

// What a call that streams gives, to its end: { messages, head, status }.
export function streamed(call, ms = undefined) {
	return within(new Promise((done) => {
		const got = { messages: [] };
		call.on('metadata', (head) => (got.head = head));
		call.on('data', (message) => got.messages.push(message));
		call.on('error', () => {}); // the status tells it
		call.on('status', (status) => done({ ...got, status }));
	}), 'the end of a stream', ms);
}
