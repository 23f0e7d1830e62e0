// An SMSC by npm's `smpp`: takes everything, sends a receipt for each, and delivers one message.
// A line of JSON on standard output for each thing that happened.
const smpp = require("smpp");
const say = (event) => console.log(JSON.stringify(event));
const server = smpp.createServer((session) => {
  session.on("bind_transceiver", (pdu) => {
    session.send(pdu.response());
    session.deliver_sm(
      {
        source_addr_ton: 1, source_addr_npi: 1, source_addr: "77010000001", destination_addr: "1414",
        data_coding: 8, short_message: Buffer.from(process.argv[2], "utf16le").swap16(),
      },
      (answer) => say({ event: "delivered", status: answer.command_status }),
    );
  });
  let count = 0;
  session.on("submit_sm", (pdu) => {
    const udh = pdu.short_message.udh;
    const id = (++count).toString(16).padStart(8, "0");
    say({
      event: "submitted", destination: pdu.destination_addr, coding: pdu.data_coding,
      protocol: pdu.protocol_id, esm: pdu.esm_class,
      headers: udh ? udh.map((each) => each.toString("hex")) : [],
      message: Buffer.isBuffer(pdu.short_message.message)
        ? pdu.short_message.message.toString("hex") : pdu.short_message.message,
    });
    session.send(pdu.response({ message_id: id }));
    session.deliver_sm({
      source_addr_ton: 1, source_addr_npi: 1, source_addr: pdu.destination_addr,
      destination_addr: "1414", esm_class: 4,
      short_message: `id:${String(count).padStart(10, "0")} sub:001 dlvrd:001 stat:DELIVRD err:000`,
    });
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => { session.send(pdu.response()); say({ event: "unbound" }); });
  session.on("error", () => session.close());
});
server.listen(0, "127.0.0.1", () => say({ event: "listening", port: server.address().port }));
