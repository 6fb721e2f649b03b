// gRPC through Pollux: HTTP/2 from end to end, in the clear and over TLS.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';

import { GrpcServer, Metadata, STATUS, finished, grpcClient, streamed } from './lib/grpc.mjs';
import { LINKS, backendOptions, certificates, listenOptions, serverTls } from './lib/h2_stage.mjs';
import { Pollux } from './lib/pollux.mjs';
import { event, pass } from './lib/wait.mjs';

const MIB = 1024 * 1024;

// Echoes; metadata of the request comes back in head and trailers.
const HANDLERS = {
	unary(call, done) {
		const head = new Metadata();
		const trailers = new Metadata();
		for (const value of call.metadata.get('x-given'))
			head.add('x-head', value);
		for (const value of call.metadata.get('x-given-bin'))
			trailers.add('x-trailer-bin', value);
		call.sendMetadata(head);
		done(null, call.request, trailers);
	},
	gather(call, done) {
		const all = [];
		call.on('data', (message) => all.push(message));
		call.on('end', () => done(null, Buffer.concat(all)));
	},
	scatter(call) {
		const [n, size] = call.request.toString().split(' ').map(Number);
		let i = 0;
		const send = () => {
			while (i < n) {
				const message = Buffer.alloc(size, i % 256);
				i++;
				if (!call.write(message)) {
					call.once('drain', send);
					return;
				}
			}
			call.end();
		};
		send();
	},
	converse(call) {
		call.on('data', (message) => call.write(message));
		call.on('end', () => call.end());
	},
};

async function start(t, link, { handlers = {}, listen = {}, backend = {}, client: clientOptions, ...options } = {}) {
	const server = await GrpcServer.start(t, { ...HANDLERS, ...handlers },
		{ tls: link.isTls ? serverTls() : undefined });
	const pollux = await Pollux.start(t, {
		backend: { servers: [server], ...backendOptions(link), ...backend },
		listen: { ...listenOptions(link), ...listen },
		...options,
	});
	const newClient = () => grpcClient(t, pollux.where(),
		{ ca: link.isTls ? certificates().ca : undefined, ...clientOptions });
	return { server, pollux, client: newClient(), newClient };
}

for (const link of LINKS.filter(({ protocol }) => protocol === 'h2')) {
	const test_ = (what, run) => test(`gRPC, ${link.name}: ${what}`, run);

	test_('unary calls, small and big, with metadata', async (t) => {
		const { client, pollux } = await start(t, link);
		const metadata = new Metadata();
		const binary = randomBytes(50);
		metadata.add('x-given', 'one');
		metadata.add('x-given', 'two, three');
		metadata.set('x-given-bin', binary);

		for (const size of [0, 1, 16_383, 16_384, MIB, 16 * MIB]) {
			const message = randomBytes(size);
			const { value, head, status, error } = await finished((done) => client.unary(message, metadata, done));
			assert.equal(error, null);
			assert.ok(message.equals(value), `${size} bytes`);
			assert.equal(head.get('x-head').join(', '), 'one, two, three');
			assert.deepEqual(status.metadata.get('x-trailer-bin'), [binary]);
			assert.equal(status.code, STATUS.OK);
		}
		const entry = await pollux.accessed({ target: '/pollux.test.Echo/Unary' });
		assert.deepEqual([entry.method, entry.status, entry.reason], ['POST', 200, undefined]);
	});

	test_('a client that streams', async (t) => {
		const { client } = await start(t, link);
		const messages = Array.from({ length: 500 }, (_, n) => randomBytes(n * 20));
		const { value, error } = await finished((done) => {
			const call = client.gather(done);
			for (const message of messages)
				call.write(message);
			call.end();
			return call;
		});
		assert.equal(error, null);
		assert.ok(Buffer.concat(messages).equals(value));
	});

	test_('a server that streams', async (t) => {
		const { client } = await start(t, link);
		for (const [n, size] of [[0, 0], [1, 0], [1000, 100], [50, MIB / 2]]) {
			const { messages, status } = await streamed(client.scatter(Buffer.from(`${n} ${size}`)));
			assert.equal(status.code, STATUS.OK);
			assert.equal(messages.length, n);
			messages.forEach((message, i) => assert.ok(message.equals(Buffer.alloc(size, i % 256))));
		}
	});

	test_('a server that streams to a client that reads slowly', async (t) => {
		const { client, server, pollux } = await start(t, link, {
			environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
		});
		const before = pollux.memory();
		const call = client.scatter(Buffer.from(`48 ${MIB}`));
		call.pause();
		await server.call();
		// Other calls are served meanwhile.
		for (let n = 0; n < 20; n++)
			assert.equal((await finished((done) => client.unary(Buffer.from('x'), done))).error, null);
		assert.ok(pollux.memory() - before < 8 * MIB, `${pollux.memory() - before} bytes more`);
		const end = streamed(call);
		call.resume();
		const { messages, status } = await end;
		assert.equal(status.code, STATUS.OK);
		assert.equal(messages.length, 48);
	});

	test_('both stream: each message is answered before the next is sent', async (t) => {
		const { client } = await start(t, link);
		const call = client.converse();
		for (let n = 0; n < 50; n++) {
			const message = Buffer.from(`message ${n}`);
			const answer = event(call, 'data', `answer ${n}`);
			call.write(message);
			assert.ok(message.equals(await answer));
		}
		const end = streamed(call);
		call.end();
		assert.equal((await end).status.code, STATUS.OK);
	});

	test_('an error without a message: trailers only', async (t) => {
		const { client, pollux } = await start(t, link, {
			handlers: {
				unary(call, done) {
					const metadata = new Metadata();
					metadata.set('x-why', 'because');
					done({ code: STATUS.NOT_FOUND, details: 'nothing here: 100 % "ä"', metadata });
				},
			},
		});
		const { error } = await finished((done) => client.unary(Buffer.from('x'), done));
		assert.equal(error.code, STATUS.NOT_FOUND);
		assert.equal(error.details, 'nothing here: 100 % "ä"');
		assert.deepEqual(error.metadata.get('x-why'), ['because']);
		assert.equal((await pollux.accessed({})).reason, undefined);
	});

	test_('an error behind messages, and one at once on a stream', async (t) => {
		const { client } = await start(t, link, {
			handlers: {
				scatter(call) {
					call.write(Buffer.from('one'));
					call.write(Buffer.from('two'));
					call.emit('error', { code: STATUS.DATA_LOSS, details: 'no more' });
				},
				gather(call, done) {
					done({ code: STATUS.PERMISSION_DENIED, details: 'not you' });
				},
			},
		});
		const { messages, status } = await streamed(client.scatter(Buffer.from('x')));
		assert.deepEqual(messages.map(String), ['one', 'two']);
		assert.deepEqual([status.code, status.details], [STATUS.DATA_LOSS, 'no more']);
		const { error } = await finished((done) => {
			const call = client.gather(done);
			call.write(Buffer.from('some'));
			return call;
		});
		assert.deepEqual([error.code, error.details], [STATUS.PERMISSION_DENIED, 'not you']);
	});

	test_('a method that is not there', async (t) => {
		const { client } = await start(t, link);
		const { error } = await finished((done) => client.makeUnaryRequest('/pollux.test.Echo/None',
			(x) => x, (x) => x, Buffer.from('x'), done));
		assert.equal(error.code, STATUS.UNIMPLEMENTED);
	});

	test_('a deadline that passes reaches the server', async (t) => {
		const { client, server } = await start(t, link, { handlers: { unary() {} } });
		const { error } = await finished((done) => client.unary(Buffer.from('x'), new Metadata(),
			{ deadline: Date.now() + 300 }, done));
		assert.equal(error.code, STATUS.DEADLINE_EXCEEDED);
		await server.cancelled(await server.call());
	});

	test_('a call that is cancelled is cancelled at the server', async (t) => {
		const { client, server, pollux } = await start(t, link, { handlers: { unary() {} } });
		const unary = finished((done) => {
			const call = client.unary(Buffer.from('x'), done);
			server.call(0).then(() => call.cancel());
			return call;
		});
		assert.equal((await unary).error.code, STATUS.CANCELLED);
		await server.cancelled(await server.call(0));
		assert.equal((await pollux.accessed({})).reason, 'client-gone');

		const call = client.converse();
		const answer = event(call, 'data', 'an answer');
		call.write(Buffer.from('x'));
		await answer;
		const end = streamed(call);
		call.cancel();
		assert.equal((await end).status.code, STATUS.CANCELLED);
		await server.cancelled(await server.call(1));
		// The connection is as good as before.
		const { error } = await finished((done) => {
			const again = client.gather(done);
			again.end();
			return again;
		});
		assert.equal(error, null);
	});

	test_('hundreds of calls at once', async (t) => {
		const { client } = await start(t, link);
		const n = 400;
		const all = await Promise.all(Array.from({ length: n }, (_, i) =>
			finished((done) => client.unary(Buffer.from(`call ${i}`), done))));
		all.forEach(({ error, value }, i) => {
			assert.equal(error, null);
			assert.equal(value.toString(), `call ${i}`);
		});
	});

	test_('a server that dies ends its calls with an error, and the next one too', async (t) => {
		const { client, server, pollux } = await start(t, link);
		const call = client.converse();
		const answer = event(call, 'data', 'an answer');
		call.write(Buffer.from('x'));
		await answer;
		const end = streamed(call);
		server.stop();
		assert.notEqual((await end).status.code, STATUS.OK);
		assert.equal((await pollux.accessed({})).reason, 'backend-cut');
		const { error } = await finished((done) => client.unary(Buffer.from('x'), done));
		assert.equal(error.code, STATUS.UNAVAILABLE);
		assert.equal((await pollux.accessed({})).status, 502);
	});

	test_('a drain: calls under way are finished', async (t) => {
		const { client, pollux } = await start(t, link, { program: { drain: '10s' } });
		const call = client.converse();
		const first = event(call, 'data', 'an answer');
		call.write(Buffer.from('before'));
		await first;
		await pollux.drain();
		const second = event(call, 'data', 'an answer');
		call.write(Buffer.from('during'));
		assert.equal((await second).toString(), 'during');
		const end = streamed(call);
		call.end();
		assert.equal((await end).status.code, STATUS.OK);
		assert.deepEqual(await pollux.left(), { code: 0, signal: null });
	});

	test_('the pings of a client that keeps its connection alive are no abuse', async (t) => {
		const { client } = await start(t, link, {
			client: { 'grpc.keepalive_time_ms': 50, 'grpc.keepalive_permit_without_calls': 1 },
		});
		const call = client.converse();
		const answer = event(call, 'data', 'an answer');
		call.write(Buffer.from('x'));
		await answer;
		await pass(1500);
		const end = streamed(call);
		call.end();
		assert.equal((await end).status.code, STATUS.OK);
	});
}
