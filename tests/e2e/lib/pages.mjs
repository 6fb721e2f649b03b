// The error pages of Pollux by reason, their Date apart. They stand here in full: a page that changes
// by accident fails.
import assert from 'node:assert/strict';

const PAGES = {
	'bad-request': [400, 'Bad Request', 'The request is not valid HTTP.'],
	'bad-framing': [400, 'Bad Request', 'It is not certain where the request ends.'],
	'bad-host': [400, 'Bad Request', 'The request names no host, or not exactly one.'],
	'bad-body': [400, 'Bad Request', 'The body of the request is not framed correctly.'],
	'bad-websocket': [400, 'Bad Request', 'The WebSocket handshake is not valid.'],
	'websocket-version': [426, 'Upgrade Required',
		'Only version 13 of the WebSocket protocol is supported.'],
	version: [505, 'HTTP Version Not Supported', 'This version of HTTP is not supported.'],
	method: [501, 'Not Implemented', 'The request method is not supported.'],
	'transfer-coding': [501, 'Not Implemented', 'The transfer coding is not supported.'],
	expectation: [417, 'Expectation Failed', 'The expectation cannot be met.'],
	'uri-too-long': [414, 'URI Too Long', 'The request target is too long.'],
	'header-too-large': [431, 'Request Header Fields Too Large', 'The header section is too large.'],
	'body-too-large': [413, 'Content Too Large', 'The body of the request is too large.'],
	'header-timeout': [408, 'Request Timeout', 'The request did not arrive in time.'],
	'body-timeout': [408, 'Request Timeout', 'The body of the request did not arrive in time.'],
	misdirected: [421, 'Misdirected Request', 'The host is not served on this connection.'],
	'no-route': [404, 'Not Found', 'There is nothing here.'],
	origin: [403, 'Forbidden', 'The origin of the request is not allowed.'],
	connect: [502, 'Bad Gateway', 'The server could not be reached.'],
	'connect-timeout': [504, 'Gateway Timeout', 'The server could not be reached in time.'],
	'backend-tls': [502, 'Bad Gateway', 'No secure connection to the server was possible.'],
	'backend-gone': [502, 'Bad Gateway', 'The server closed without an answer.'],
	'backend-protocol': [502, 'Bad Gateway', 'The answer of the server is not valid.'],
	'response-timeout': [504, 'Gateway Timeout', 'The server did not answer in time.'],
	'backend-stall': [504, 'Gateway Timeout', 'The server stopped taking the request.'],
	'no-server': [503, 'Service Unavailable', 'No server is available at the moment.'],
	overload: [503, 'Service Unavailable', 'There is too much to do at the moment.'],
	drain: [503, 'Service Unavailable', 'The service is being stopped.'],
};

const FIELDS = {
	'websocket-version': 'Sec-WebSocket-Version: 13\r\n',
	'no-server': 'Retry-After: 1\r\n',
	overload: 'Retry-After: 1\r\n',
	drain: 'Retry-After: 1\r\n',
};

const ENDS = {
	true: 'Connection: close\r\n',
	false: '',
};

// `closes`: whether the connection ends after the page.
export function page(reason, { closes = false } = {}) {
	const [status, name, sentence] = PAGES[reason] ?? assert.fail(`no page for ${reason}`);
	const body = `${status} ${name}\n${sentence}\n`;
	let end = ENDS[closes];
	if (status === 426)
		end = `Connection: ${closes ? 'close, ' : ''}upgrade\r\nUpgrade: websocket\r\n`;
	return `HTTP/1.1 ${status} ${name}\r\nContent-Type: text/plain; charset=utf-8\r\n`
		+ `${FIELDS[reason] ?? ''}Content-Length: ${body.length}\r\n${end}\r\n${body}`;
}
