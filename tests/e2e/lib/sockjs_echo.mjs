// What clients of SockJS say to an echo, and what should come of it.
export const TEXTS = [
	'hello', '', ' ', 'a"b\\c/d', 'line\nline\r\n\ttab\0nul', '</script><!--', '100% %41 %',
	'ü€😀𝄞', '\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u2060\u206f\ufeff\ufff0\ufffe\uffff',
	'\u0300\u0333\u0600\u070f\u17b4\u2000\u20ff', 'a]o["', 'x'.repeat(1000), '€'.repeat(30_000),
	'y'.repeat(200_000),
];

// A string that UTF-8 cannot have, and what the other side gets instead.
export const LONE = ['a\ud800b\udc00', 'a\ufffdb\ufffd'];

// An echo; 'close:CODE:REASON' closes, 'bytes' sends what SockJS cannot carry, 'burst:N' sends N.
export const ECHO = {
	onSocket(socket) {
		socket.on('message', (data, isBinary) => {
			const text = data.toString();
			const [word, first, second] = text.split(':');
			if (isBinary)
				socket.close(1011, 'bytes');
			else if (word === 'close')
				socket.close(Number(first), second);
			else if (word === 'bytes')
				socket.send(Buffer.from([1]));
			else if (word === 'burst')
				for (let n = 0; n < Number(first); n++)
					socket.send(`${n}`);
			else
				socket.send(text);
		});
	},
};
