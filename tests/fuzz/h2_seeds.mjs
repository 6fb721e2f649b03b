// Writes the seeds of the fuzz targets of HTTP/2 frames: node tests/fuzz/h2_seeds.mjs
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as h2 from '../e2e/lib/h2_frames.mjs';

const folder = fileURLToPath(new URL('seeds', import.meta.url));

// What the first three bytes mean stands in fuzz_h2_server.c and fuzz_h2_client.c.
const GREETED = 1;
const READ = 2;
const TAKEN = 4;
const WEBSOCKETS = 8; // of the server
const CANCELLED = 8; // of the client
const USUAL = GREETED | READ | TAKEN | WEBSOCKETS;

function seed(target, name, how, frames, { piece = 0, times = 0, from = 0 } = {}) {
	mkdirSync(`${folder}/${target}`, { recursive: true });
	writeFileSync(`${folder}/${target}/${name}`,
		Buffer.concat([Buffer.from([how | (piece << 4), times, from]), ...frames]));
}

const pseudo = (method, path = '/a') =>
	[[':method', method], [':scheme', 'https'], [':authority', 'a'], [':path', path]];
const get = (stream) => h2.headers(stream, pseudo('GET'), { endStream: true });
const post = (stream, more = []) => h2.headers(stream, [...pseudo('POST'), ...more]);
const connect = (stream) => h2.headers(stream,
	[...pseudo('CONNECT', '/ws'), [':protocol', 'websocket'], ['sec-websocket-version', '13']]);
const text = '\x81\x82\0\0\0\0hi';
const close = '\x88\x82\0\0\0\0\x03\xe9';
// One of each kind of task that the handler has.
const eight = [1, 3, 5, 7, 9, 11, 13, 15];

function server(name, frames, { how = USUAL, ...options } = {}) {
	seed('h2_server', name, how, frames, options);
}

server('get', [get(1)]);
server('eight', eight.map(get));
server('eight-in-pieces', eight.map(get), { piece: 1 });
server('head', eight.map((id) => h2.headers(id, pseudo('HEAD'), { endStream: true })));
server('post', [post(1), h2.data(1, 'hello'), h2.data(1, 'world', { endStream: true })]);
server('echo', [get(1), post(3), h2.data(3, 'hello'), h2.data(3, '', { endStream: true })]);
server('echo-much', [get(1), post(3), h2.data(3, 'x'.repeat(200))], { times: 63, from: 120 });
server('length', [post(1, [['content-length', '5']]), h2.data(1, 'hello', { endStream: true })]);
server('wrong-length', [post(1, [['content-length', '5']]), h2.data(1, 'hi', { endStream: true })]);
server('trailers', [post(1), h2.data(1, 'a'), h2.headers(1, [['x-sum', '5']], { endStream: true })]);
server('expect', eight.map((id) => post(id, [['expect', '100-continue']])));
server('padded', [post(1), h2.data(1, 'a', { padding: 9 }), h2.data(1, '', { padding: 3 })]);
server('unread', [...eight.map((id) => post(id)), h2.data(15, 'x'.repeat(300))],
	{ how: GREETED | TAKEN, times: 63, from: 150 });
server('untaken', eight.map(get), { how: GREETED | READ, piece: 3 });
server('windows', [h2.settings([[h2.SETTING.INITIAL_WINDOW_SIZE, 5]]), ...eight.map(get),
	h2.windowUpdate(9, 10000), h2.windowUpdate(0, 10000)]);
server('reset', [...eight.map(get), ...eight.map((id) => h2.rstStream(id))]);
server('reset-again', [get(1), post(3), h2.data(3, 'a'), h2.rstStream(3), post(5), h2.data(5, 'b')],
	{ piece: 2 });
server('refused', Array.from({ length: 20 }, (_, i) => get(1 + 2 * i)), { how: GREETED | TAKEN });
server('many', Array.from({ length: 45 }, (_, i) => get(1 + 2 * i)), { piece: 9 });
server('websocket', [connect(1), h2.data(1, text), h2.data(1, close, { endStream: true })]);
server('websocket-cut', [connect(1), h2.data(1, text), h2.rstStream(1)], { piece: 2 });
server('websocket-trailers', [connect(1), h2.headers(1, [['a', 'b']], { endStream: true })]);
server('websocket-trailers-late',
	[connect(1), h2.headers(1, [['a', 'b']], { endStream: true, endHeaders: false }),
		h2.continuation(1, [['c', 'd']])], { piece: 3 });
server('websocket-unread', [connect(1), h2.data(1, text.repeat(20))],
	{ how: GREETED | TAKEN | WEBSOCKETS, times: 63, from: 120 });
server('websocket-unknown', [connect(1)], { how: GREETED | READ | TAKEN });
server('connect', [h2.headers(1, [[':method', 'CONNECT'], [':authority', 'a:443']])]);
server('upper-case', [h2.headers(1, [...pseudo('GET'), ['X-A', 'b']], { endStream: true })]);
server('injection', [h2.headers(1, pseudo('GET', '/ HTTP/1.1\r\nX: y'), { endStream: true })]);
server('large-head', [h2.headers(1, [...pseudo('GET'), ['x', 'y'.repeat(2100)]])]);
server('fields', [h2.headers(1, [...pseudo('GET'), ...Array(20).fill(['x', 'y'])])]);
server('cookies', [h2.headers(1, [...pseudo('GET'), ['cookie', 'a=b'], ['cookie', 'c=d']])]);
server('continuations', h2.headersInPieces(1, pseudo('GET'), { size: 7, endStream: true }));
server('continuations-many', [h2.headers(1, pseudo('GET'), { endHeaders: false }),
	h2.continuation(1, [], { endHeaders: false })], { times: 12, from: 190 });
server('pings', [h2.ping(), h2.ping('12345678', h2.FLAG.ACK)], { times: 63 });
server('settings', [h2.settings([[h2.SETTING.HEADER_TABLE_SIZE, 0]]), get(1)], { times: 5 });
server('table-size', [h2.settings([[h2.SETTING.HEADER_TABLE_SIZE, 65536]]), ...eight.map(get)]);
server('priorities', [h2.priority(1), h2.priorityUpdate(1, 'u=1, i'), get(1), h2.priority(1)]);
server('unknown', [h2.frame(0x42, 0, 0, 'abc'), get(1), h2.frame(0x42, 0, 1, 'abc')]);
server('late', [post(1), h2.data(1, 'a'), h2.data(1, 'b'),
	h2.headers(1, [['x', 'y']], { endStream: true })], { piece: 5 });
server('goaway', [get(1), h2.goaway(0)], { times: 7, from: 255 });
server('stream-0', [h2.data(0, 'x')]);
server('even', [get(2)]);
server('too-large', [h2.frame(h2.TYPE.DATA, 0, 1, '', { length: 20000 })]);
server('whole', [Buffer.from(h2.PREFACE), h2.settings(), get(1), h2.settingsAck()],
	{ how: READ | TAKEN });
server('http1', [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')], { how: READ | TAKEN });
server('nothing', [], { times: 7 });

function client(name, frames, { how = GREETED | READ | TAKEN, ...options } = {}) {
	seed('h2_client', name, how, frames, options);
}

const respond = (stream, status = '200', options = {}) =>
	h2.headers(stream, [[':status', status], ['server', 'x']], options);
const ended = { endStream: true };

client('all', [respond(1, '200', ended), respond(3, '200', ended), respond(5, '204', ended),
	respond(7), h2.data(7, 'down'), h2.data(7, '', ended)]);
client('bodies', [respond(1), h2.data(1, 'hello'), h2.data(1, 'world', ended), respond(3),
	h2.data(3, 'early', ended)]);
client('in-pieces', [respond(1), h2.data(1, 'hello', ended), respond(7), h2.data(7, 'a')],
	{ piece: 1 });
client('length', [h2.headers(1, [[':status', '200'], ['content-length', '5']]),
	h2.data(1, 'hello', ended)]);
client('wrong-length', [h2.headers(1, [[':status', '200'], ['content-length', '5']]),
	h2.data(1, 'hi', ended)]);
client('trailers', [respond(1), h2.data(1, 'a'), h2.headers(1, [['x-sum', '5']], ended)]);
client('interim', [h2.headers(1, [[':status', '103'], ['link', '</a>']]), respond(1, '200', ended)]);
client('interim-many', [h2.headers(1, [[':status', '103'], ['link', '</a>'.repeat(50)]])],
	{ times: 63 });
client('interim-end', [h2.headers(1, [[':status', '103']], ended)]);
client('switching', [respond(7, '101')]);
client('unread', [respond(1), h2.data(1, 'x'.repeat(300))],
	{ how: GREETED | TAKEN, times: 63, from: 60 });
client('untaken', [respond(3), respond(7), h2.data(7, 'a')], { how: GREETED | READ, piece: 2 });
client('windows', [h2.settings([[h2.SETTING.INITIAL_WINDOW_SIZE, 0]]), h2.windowUpdate(3, 2)],
	{ how: READ | TAKEN, piece: 2 });
client('refused', [h2.rstStream(1, h2.CODE.REFUSED_STREAM), h2.rstStream(3, h2.CODE.REFUSED_STREAM)]);
client('refused-late', [respond(1), h2.rstStream(1, h2.CODE.REFUSED_STREAM)]);
client('http11', [h2.rstStream(1, h2.CODE.HTTP_1_1_REQUIRED)]);
client('reset', [respond(1), h2.data(1, 'a'), h2.rstStream(1, h2.CODE.INTERNAL_ERROR)], { piece: 2 });
client('reset-whole', [respond(3), h2.data(3, 'a', ended), h2.rstStream(3, h2.CODE.NO_ERROR)]);
client('goaway', [h2.goaway(3), respond(1, '200', ended), respond(3, '200', ended)]);
client('goaway-steps', [h2.goaway(h2.MOST_STREAM), respond(1, '200', ended), h2.goaway(1)],
	{ piece: 3 });
client('none', [h2.settings([[h2.SETTING.MAX_CONCURRENT_STREAMS, 0]]), respond(1, '200', ended)]);
client('one', [h2.settings([[h2.SETTING.MAX_CONCURRENT_STREAMS, 1]]), respond(1, '200', ended)],
	{ how: READ | TAKEN });
client('no-websockets', [h2.settings(), respond(1, '200', ended)], { how: READ | TAKEN });
client('offer', [h2.settings([[h2.SETTING.ENABLE_CONNECT_PROTOCOL, 1]]), respond(3, '200', ended)],
	{ how: READ | TAKEN, piece: 1 });
client('tunnel', [respond(7), h2.data(7, '\x81\x02hi'), h2.data(7, '', ended)], { piece: 1 });
client('tunnel-trailers', [respond(7), h2.headers(7, [['a', 'b']], ended)], { piece: 1 });
client('tunnel-refused', [respond(7, '403'), h2.data(7, 'no', ended)]);
client('tunnel-cut', [respond(7), h2.data(7, 'a'), h2.rstStream(7)], { piece: 2 });
client('cancelled', [respond(1, '201'), h2.data(1, 'late'), respond(5, '401', ended)],
	{ how: GREETED | READ | TAKEN | CANCELLED, piece: 1 });
client('cancelled-all', [respond(1, '201'), respond(3, '203'), respond(7, '201')],
	{ how: GREETED | TAKEN | CANCELLED, piece: 2, times: 3 });
client('push', [h2.pushPromise(1, 2, pseudo('GET')), respond(2, '200', ended)]);
client('upper-case', [h2.headers(1, [[':status', '200'], ['X-A', 'b']], ended)]);
client('splitting', [h2.headers(1, [[':status', '200'], ['a', 'b\r\nc: d']], ended)]);
client('no-status', [h2.headers(1, [['a', 'b']], ended)]);
client('connection', [h2.headers(1, [[':status', '200'], ['connection', 'close']], ended)]);
client('continuations', h2.headersInPieces(1, [[':status', '200'], ['a', 'b']], { size: 2, ...ended }));
client('ping', [h2.ping(), h2.ping('12345678', h2.FLAG.ACK)], { times: 20 });
client('table-size', [h2.settings([[h2.SETTING.HEADER_TABLE_SIZE, 0]]), respond(1, '200', ended)]);
client('stream-0', [h2.data(0, 'x')]);
client('unasked', [respond(21, '200', ended)]);
client('http1', [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], { how: READ | TAKEN });
client('nothing', [], { times: 7 });
