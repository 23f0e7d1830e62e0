// An SMSC by npm's `smpp`, to be driven by tests/judges/smscs.py, which says what passes between them.
const readline = require("readline");
const smpp = require("smpp");

const TRY_AGAIN = 0x64; // ESME_RX_T_APPN
const RECEIPT = 4; // esm_class of a delivery receipt
const DEFAULT_ALPHABET = 0;
const UCS2 = 8;
const receipts = process.argv[2] === "receipts";
const say = (event) => console.log(JSON.stringify(event));
const utf16 = (text) => Buffer.from(text, "utf16le").swap16().toString("hex");

const waiting = []; // texts of phones that were not acknowledged yet, in hexadecimal
let bound = null;
let delivering = null;
let count = 0;

const from = (phone) => ({
  source_addr_ton: 1, source_addr_npi: 1, source_addr: phone, destination_addr: "1414",
});

// Deliver the first text that waits; its answer, or the next bind, goes on.
const deliver = () => {
  if (!bound || delivering === bound || !waiting.length) return;
  const session = (delivering = bound);
  const content = waiting[0];
  const message = { data_coding: UCS2, short_message: Buffer.from(content, "hex") };
  session.deliver_sm({ ...from("77010000001"), ...message }, ({ command_status: status }) => {
    if (delivering !== session) return;
    delivering = null;
    if (status !== TRY_AGAIN) {
      waiting.shift();
      say({ event: "acknowledged", content, status });
    }
    deliver();
  });
};

const server = smpp.createServer((session) => {
  session.on("bind_transceiver", (pdu) => {
    session.send(pdu.response());
    bound = session;
    deliver();
  });
  session.on("submit_sm", (pdu) => {
    // The package has decoded the text and taken its header off.
    const { message, udh } = pdu.short_message;
    const isText = pdu.data_coding === DEFAULT_ALPHABET || pdu.data_coding === UCS2;
    const number = ++count;
    say({
      event: "submitted", destination: pdu.destination_addr, coding: pdu.data_coding,
      protocol: pdu.protocol_id, esm: pdu.esm_class, headers: udh ? udh.length : 0,
      content: isText ? utf16(message) : message.toString("hex"),
    });
    session.send(pdu.response({ message_id: number.toString(16).padStart(8, "0") }));
    if (!receipts) return;
    const id = String(number).padStart(10, "0"); // decimal here and hexadecimal there, as SMSCs do
    session.deliver_sm({
      ...from(pdu.destination_addr), esm_class: RECEIPT,
      short_message: `id:${id} sub:001 dlvrd:001 stat:DELIVRD err:000`,
    });
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => { session.send(pdu.response()); say({ event: "unbound" }); });
  session.on("error", () => session.close());
  session.on("close", () => { if (bound === session) bound = null; });
});

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (!line) return say({ event: "settled" });
  waiting.push(line);
  deliver();
}).on("close", () => process.exit()); // ends with the test that started it
server.listen(0, "127.0.0.1", () => say({ event: "listening", port: server.address().port }));
