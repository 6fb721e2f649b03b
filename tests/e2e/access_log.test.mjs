// The access log: a line per exchange, in both formats, with timings and the reason of a failure.
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';

import { Pollux, freePort } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { temporaryFolder } from './lib/scope.mjs';
import { connect, get, ok, stage } from './lib/stage.mjs';
import { eventually } from './lib/wait.mjs';
import { Wire } from './lib/wire.mjs';

test('combined: what every log reader knows, then what only Pollux knows', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { access_log_format: 'combined' } });

	backend.serve(() => ok('hello'));
	client.send('GET /a?b=c HTTP/1.1\r\nHost: site.example\r\nUser-Agent: "curl"\\7\r\n'
		+ 'Referer: http://site.example/\r\n\r\n');
	await client.readResponse();
	const line = await pollux.accessLog.take(() => true);
	const fields = /^(\S+) - - \[(.+?)\] "(.*?)" (\d+) (\d+) "(.*?)" "(.*?)" (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)$/.exec(line);
	assert.ok(fields, line);
	const [, address, time, request, status, size, referer, agent, host, server, reason, session,
		...times] = fields;
	assert.equal(address, '127.0.0.1');
	assert.match(time, /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$/);
	assert.equal(request, 'GET /a?b=c HTTP/1.1');
	assert.equal(status, '200');
	assert.equal(size, '5');
	assert.equal(referer, 'http://site.example/');
	assert.equal(agent, '\\x22curl\\x22\\x5c7');
	assert.equal(host, 'site.example');
	assert.equal(server, backend.address);
	assert.equal(reason, '-');
	assert.equal(session, '-');
	assert.equal(times.length, 4);
	for (const ms of times)
		assert.match(ms, /^\d+\.\d{3}$/);
});

test('combined: a request that could not be read, and one that was not forwarded', async (t) => {
	const { pollux, client } = await stage(t, {
		program: { access_log_format: 'combined' },
		route: { path: '/only' },
	});

	client.send(get('/'));
	await client.readResponse();
	const missed = await pollux.accessLog.take(() => true);
	assert.match(missed, /"GET \/ HTTP\/1\.1" 404 \d+ "-" "-" a - no-route - \d+\.\d{3} - \d+\.\d{3} \d+\.\d{3}$/);
	client.send('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
	await client.readResponse();
	const bad = await pollux.accessLog.take(() => true);
	assert.match(bad, / 400 \d+ "-" "-" \S+ - bad-host - /);
	const other = await connect(t, pollux);
	other.send('\x16\x03\x01\x02\x00\x01');
	await other.readResponse();
	const junk = await pollux.accessLog.take(() => true);
	assert.match(junk, /^127\.0\.0\.1 - - \[[^\]]+\] "-" 400 \d+ "-" "-" - - bad-request - /);
});

test('JSON: the same facts under names', async (t) => {
	const { backend, pollux, client } = await stage(t);

	backend.serve(() => ok('hello'));
	client.send('POST /caf\xe9?"q" HTTP/1.1\r\nHost: site.example\r\nUser-Agent: caf\xc3\xa9\t"\r\n'
		+ 'Content-Length: 3\r\n\r\nabc');
	const response = await client.readResponse();
	assert.equal(response.status, 400); // bytes beyond ASCII are no part of a target
	const refused = await pollux.accessed();
	assert.equal(refused.reason, 'bad-request');

	const other = await connect(t, pollux);
	other.send('POST /x?"q" HTTP/1.1\r\nHost: site.example\r\nUser-Agent: caf\xc3\xa9\t"\r\n'
		+ 'Content-Length: 3\r\n\r\nabc');
	await other.readResponse();
	const { time, head_ms, connect_ms, response_ms, total_ms, ...facts } = await pollux.accessed();
	assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/);
	for (const ms of [head_ms, connect_ms, response_ms, total_ms])
		assert.ok(ms >= 0 && ms < 10_000);
	assert.deepEqual(facts, {
		client: '127.0.0.1',
		method: 'POST',
		target: '/x?"q"',
		version: '1.1',
		host: 'site.example',
		status: 200,
		request_bytes: 3,
		response_bytes: 5,
		user_agent: 'café\t"',
		server: backend.address,
	});
});

test('a line per exchange, at its end, also for exchanges that failed', async (t) => {
	const { backend, pollux, client } = await stage(t);

	client.send(get('/slow'));
	const conn = await backend.accept();
	await conn.readRequest();
	assert.equal(pollux.accessLog.lines.length, 0);
	conn.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
	await client.readUntil('half');
	assert.equal(pollux.accessLog.lines.length, 0);
	conn.end();
	const entry = await pollux.accessed({ target: '/slow' });
	assert.equal(entry.status, 200);
	assert.equal(entry.reason, 'backend-cut');
	assert.equal(entry.response_bytes, 4);
});

test('timings: what the backend took stands beside what the client took', async (t) => {
	const { backend, pollux, client } = await stage(t);

	client.send('GET /slow HTTP/1.1\r\n');
	backend.serve(async () => {
		await eventually(() => Date.now() - asked >= 60, 'a slow backend');
		return ok();
	});
	const began = Date.now();
	await eventually(() => Date.now() - began >= 40, 'a slow client');
	const asked = Date.now();
	client.send('Host: a\r\n\r\n');
	await client.readResponse();
	const entry = await pollux.accessed({ target: '/slow' });
	assert.ok(entry.head_ms >= 30, `head_ms ${entry.head_ms}`);
	assert.ok(entry.response_ms >= 50, `response_ms ${entry.response_ms}`);
	assert.ok(entry.total_ms >= entry.head_ms + entry.response_ms - 1, `total_ms ${entry.total_ms}`);
});

test('SIGUSR1 opens the files anew', async (t) => {
	const folder = temporaryFolder(t);
	const file = join(folder, 'access.log');
	const { backend, pollux, client } = await stage(t, { program: { access_log: file } });
	const lines = async (path) => (await readFile(path, 'latin1').catch(() => '')).split('\n').length - 1;

	backend.serve();
	client.send(get('/1'));
	await client.readResponse();
	await eventually(async () => (await lines(file)) === 1, 'the first line');
	renameSync(file, `${file}.1`);
	pollux.signal('SIGUSR1');
	await eventually(async () => (await lines(file)) === 0 && (await readFile(file).catch(() => undefined)), 'a new file');
	client.send(get('/2'));
	await client.readResponse();
	await eventually(async () => (await lines(file)) === 1, 'the second line');
	assert.equal(await lines(`${file}.1`), 1);
	assert.match(await readFile(file, 'latin1'), /"target":"\/2"/);
});

test('a session id in a target is masked, in both formats', async (t) => {
	const target = '/chat/~w1.kX0abcdefghijklmnopqrstuv?after=7';

	for (const access_log_format of ['json', 'combined']) {
		const { backend, pollux, client } = await stage(t, { program: { access_log_format } });
		backend.serve();
		client.send(get(target, `Referer: http://a${target}\r\n`));
		await client.readResponse();
		const line = await pollux.accessLog.take(() => true);
		assert.ok(!line.includes('abcdefgh'), line);
		assert.ok(line.includes('/chat/~w1.***?after=7'), line);
	}
});

test('off: nothing is written', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { access_log: 'off' } });

	backend.serve();
	client.send(get());
	await client.readResponse();
	client.end();
	await client.expectEnd();
	await pollux.stop();
	assert.equal(pollux.accessLog.text(), '');
});

test('reasons of failures are named', async (t) => {
	const gone = await freePort();
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backends: {
			gone: { servers: [`127.0.0.1:${gone}`] },
			mute: { servers: [backend], response_timeout: '50ms', retries: 0 },
		},
		route: [{ path: '/gone', backend: 'gone' }, { path: '/mute', backend: 'mute' }],
		listen: { header_timeout: '50ms' },
	});
	const status = async (request) => {
		const client = await connect(t, pollux);
		client.send(request);
		return (await client.readResponse()).status;
	};

	assert.equal(await status(get('/gone')), 502);
	assert.equal((await pollux.accessed({ target: '/gone' })).reason, 'connect');
	assert.equal(await status(get('/mute')), 504);
	assert.equal((await pollux.accessed({ target: '/mute' })).reason, 'response-timeout');
	assert.equal(await status('GET /slow'), 408);
	assert.equal((await pollux.accessed({ status: 408 })).reason, 'header-timeout');
});

test('a client on a unix socket', async (t) => {
	const backend = (await RawBackend.start(t)).serve();
	const pollux = await Pollux.start(t, { backend, listen: { path: 'front.sock' } });
	const client = await Wire.connect(t, pollux.where());

	client.send(get());
	await client.readResponse();
	assert.equal((await pollux.accessed()).client, 'unix:');
});
