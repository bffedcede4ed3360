// llhttp, the parser of node: reads batches of streams, writes one line of JSON for each stream.
// A batch is its length in 4 octets (big-endian) and that many octets: streams, each with its length in 4 octets.
// A line is [requests, end]: each request is [method, target, body] in latin-1; end is "end", "upgrade" or an error's name.
'use strict';
const { HTTPParser, methods } = require('_http_common');

function read(stream) {
  const seen = [];
  let url, method, body, inHead, upgrade = false;
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {}, 32 * 1024);
  parser[HTTPParser.kOnMessageBegin] = () => { url = ''; body = ''; inHead = true; };
  parser[HTTPParser.kOnHeaders] = (headers, part) => { if (inHead) url += part; }; // else trailers
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, number, part, status, phrase, upgrades) => {
    method = methods[number];
    if (part !== undefined) url = part; // else it came before, a part at a time
    inHead = false;
    upgrade = upgrades;
    return 0;
  };
  parser[HTTPParser.kOnBody] = (part) => { body += part.latin1Slice(); };
  parser[HTTPParser.kOnMessageComplete] = () => { seen.push([method, url, body]); };
  const result = parser.execute(stream, 0, stream.length);
  parser.close();
  return [seen, result instanceof Error ? result.code : upgrade ? 'upgrade' : 'end'];
}

let kept = Buffer.alloc(0);
process.stdin.on('data', (data) => {
  kept = Buffer.concat([kept, data]);
  while (kept.length >= 4 && kept.length >= 4 + kept.readUInt32BE(0)) {
    const end = 4 + kept.readUInt32BE(0);
    const lines = [];
    for (let place = 4; place < end;) {
      const size = kept.readUInt32BE(place);
      lines.push(JSON.stringify(read(kept.subarray(place + 4, place + 4 + size))));
      place += 4 + size;
    }
    kept = kept.subarray(end);
    process.stdout.write(lines.join('\n') + '\n');
  }
});
