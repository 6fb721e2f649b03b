// Sessions that are bound to more than their id: who opens one, and who else knows the id.
import assert from 'node:assert/strict';

import { factsOf, requestText } from './bridge.mjs';
import { handshake } from './websocket_bytes.mjs';

function cookie(...values) {
	return { fields: { Cookie: values } };
}

function forwardedFor(address) {
	return { fields: { 'X-Forwarded-For': address } };
}

const TRUSTED = { program: { trusted_proxies: ['127.0.0.1'] } };

// Options of a stage; who has opened a session (`same`: in other words); and who has not, by what
// is different.
export const WAYS = [
	{
		name: 'bind_cookie',
		options: { route: { bind_cookie: 'sid' } },
		owner: cookie('a=1; sid=mine; b=2'),
		same: [cookie('sid=mine'), cookie('b=3;sid=mine;'), cookie('b=3', 'sid=mine')],
		strangers: {
			'another value': cookie('a=1; sid=other; b=2'),
			'no cookies': {},
			'another cookie': cookie('a=1; Sid=mine; sid2=mine'),
			'an empty value': cookie('sid='),
			'a longer value': cookie('sid=mine2'),
			'a value in other case': cookie('sid=Mine'),
			'a second one': cookie('sid=mine; sid=other'),
			'a second one before it': cookie('sid=other; sid=mine'),
			'a second one in another field': cookie('sid=mine', 'sid=other'),
			'the same twice': cookie('sid=mine; sid=mine'),
		},
	},
	{
		name: 'bind_cookie and none at the opening',
		options: { route: { bind_cookie: 'sid' } },
		owner: cookie('a=1'),
		same: [{}, cookie('sid'), cookie('b=2')],
		strangers: { 'a cookie': cookie('sid=mine'), 'an empty one': cookie('a=1; sid=') },
	},
	{
		name: 'bind_address',
		options: { route: { bind_address: true } },
		owner: {},
		same: [cookie('sid=new'), forwardedFor('192.0.2.1')],
		strangers: { 'another address': { from: '127.0.0.2' } },
	},
	{
		name: 'bind_address behind a proxy',
		options: { route: { bind_address: true, forwarded: 'x-forwarded' }, ...TRUSTED },
		owner: forwardedFor('192.0.2.1'),
		same: [forwardedFor('198.51.100.7, 192.0.2.1')],
		strangers: {
			'another address': forwardedFor('192.0.2.2'),
			'the address in front of another': forwardedFor('192.0.2.1, 192.0.2.2'),
			'the proxy itself': {},
			'somebody who is no proxy and says so': { from: '127.0.0.2', ...forwardedFor('192.0.2.1') },
		},
	},
	{
		name: 'both',
		options: { route: { bind_address: true, bind_cookie: 'sid' } },
		owner: cookie('sid=mine'),
		same: [cookie('a=1; sid=mine')],
		strangers: {
			'another address': { from: '127.0.0.2', ...cookie('sid=mine') },
			'another cookie': cookie('sid=other'),
		},
	},
];

// One request as somebody; other fields go along.
export function ask(bridge, who, method, target, { fields = {}, ...options } = {}) {
	return bridge.ask(method, target, {
		...options,
		from: who.from,
		fields: { ...who.fields, ...fields },
	});
}

// One whose answer is waited for later: the wire.
export async function start(bridge, who, method, target, fields = {}) {
	const wire = await bridge.connect({ from: who.from });
	wire.send(requestText(method, target, { fields: { ...who.fields, ...fields } }));
	return wire;
}

// A handshake as somebody: the response, and its wire.
export async function shakeHands(bridge, who, target, fields = {}) {
	const wire = await bridge.connect({ from: who.from });
	// A field that stands more than once is one with a list.
	const own = Object.fromEntries(Object.entries(who.fields ?? {})
		.map(([name, value]) => [name, [value].flat().join(name === 'Cookie' ? '; ' : ', ')]));
	wire.send(handshake({ target, fields: { ...own, ...fields } }));
	return Object.assign(await wire.readResponse(), { wire });
}

// A stranger is answered as if there were nothing, field by field.
export function isAsUnknown(stranger, unknown, what) {
	assert.deepEqual(factsOf(stranger), factsOf(unknown), what);
}
