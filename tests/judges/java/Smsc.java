import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.HexFormat;
import java.util.concurrent.BlockingDeque;
import java.util.concurrent.LinkedBlockingDeque;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jsmpp.bean.*;
import org.jsmpp.extra.NegativeResponseException;
import org.jsmpp.extra.ProcessRequestException;
import org.jsmpp.extra.SessionState;
import org.jsmpp.session.*;
import org.jsmpp.session.connection.ServerConnection;
import org.jsmpp.session.connection.ServerConnectionFactory;
import org.jsmpp.session.connection.socket.ServerSocketConnection;
import org.jsmpp.util.MessageId;

/** An SMSC by jsmpp, to be driven by tests/judges/smscs.py, which says what passes between them. */
public final class Smsc {
  static final int TRY_AGAIN = 0x64; // ESME_RX_T_APPN
  static final int BIND_MILLISECONDS = 20_000;
  static final HexFormat HEX = HexFormat.of();

  /** What a phone sends, in hexadecimal, or the receipt of what was submitted under a number. */
  record Delivery(String content, String phone, int receipt) {}

  final boolean receipts;
  final BlockingDeque<Delivery> waiting = new LinkedBlockingDeque<>();
  final AtomicReference<SMPPServerSession> bound = new AtomicReference<>();
  final AtomicInteger count = new AtomicInteger();

  Smsc(boolean receipts) {
    this.receipts = receipts;
  }

  static synchronized void say(String event, String fields) {
    System.out.println("{\"event\": \"" + event + "\"" + fields + "}");
    System.out.flush();
  }

  SubmitSmResult submitted(SubmitSm pdu) throws ProcessRequestException {
    byte[] message = pdu.getShortMessage();
    int headers = 0;
    int start = 0;
    if (GSMSpecificFeature.UDHI.containedIn(pdu.getEsmClass())) {
      start = 1 + (message[0] & 0xFF);
      for (int place = 1; place < start; place += 2 + (message[place + 1] & 0xFF)) headers++;
    }
    int number = count.incrementAndGet();
    say(
        "submitted",
        ", \"destination\": \"%s\", \"coding\": %d, \"protocol\": %d, \"esm\": %d, \"headers\": %d, \"content\": \"%s\""
            .formatted(
                pdu.getDestAddress(),
                pdu.getDataCoding() & 0xFF,
                pdu.getProtocolId() & 0xFF,
                pdu.getEsmClass() & 0xFF,
                headers,
                HEX.formatHex(message, start, message.length)));
    if (receipts) waiting.add(new Delivery("", pdu.getDestAddress(), number));
    try {
      return new SubmitSmResult(new MessageId("%08x".formatted(number)), new OptionalParameter[0]);
    } catch (Exception error) {
      throw new ProcessRequestException(error.getMessage(), 8);
    }
  }

  /** Deliver what waits, each until it is acknowledged, by whichever session is bound. */
  void deliver() throws InterruptedException {
    while (true) {
      Delivery delivery = waiting.take();
      int status = TRY_AGAIN;
      while (status == TRY_AGAIN) {
        SMPPServerSession session = bound.get();
        if (session == null || !session.getSessionState().isBound()) {
          synchronized (bound) {
            bound.wait(20);
          }
          continue;
        }
        try {
          send(session, delivery);
          status = 0;
        } catch (NegativeResponseException refused) {
          status = refused.getCommandStatus();
        } catch (Exception broken) {
          bound.compareAndSet(session, null);
        }
      }
      if (delivery.receipt == 0)
        say("acknowledged", ", \"content\": \"%s\", \"status\": %d".formatted(delivery.content, status));
    }
  }

  void send(SMPPServerSession session, Delivery delivery) throws Exception {
    boolean isReceipt = delivery.receipt != 0;
    byte[] message =
        isReceipt
            ? "id:%010d sub:001 dlvrd:001 stat:DELIVRD err:000".formatted(delivery.receipt).getBytes()
            : HEX.parseHex(delivery.content);
    session.deliverShortMessage(
        "",
        TypeOfNumber.INTERNATIONAL,
        NumberingPlanIndicator.ISDN,
        delivery.phone,
        TypeOfNumber.NETWORK_SPECIFIC,
        NumberingPlanIndicator.ISDN,
        "1414",
        isReceipt ? new ESMClass(MessageType.SMSC_DEL_RECEIPT.value()) : new ESMClass(),
        (byte) 0,
        (byte) 0,
        new RegisteredDelivery(0),
        new RawDataCoding((byte) (isReceipt ? 0 : 8)),
        message);
  }

  void serve() throws IOException {
    ServerSocket socket = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    SMPPServerSessionListener listener =
        new SMPPServerSessionListener(socket.getLocalPort(), new Already(socket));
    listener.setMessageReceiverListener(new Receiver(this));
    say("listening", ", \"port\": " + socket.getLocalPort());
    while (true) {
      SMPPServerSession session = listener.accept();
      session.addSessionStateListener(
          (now, before, source) -> {
            if (now == SessionState.UNBOUND) say("unbound", "");
          });
      start(() -> bind(session));
    }
  }

  void bind(SMPPServerSession session) {
    try {
      session.waitForBind(BIND_MILLISECONDS).accept("smsc");
      bound.set(session);
      synchronized (bound) {
        bound.notifyAll();
      }
    } catch (Exception gone) {
      session.close();
    }
  }

  interface Work {
    void run() throws Exception;
  }

  static void start(Work work) {
    Thread thread =
        new Thread(
            () -> {
              try {
                work.run();
              } catch (Exception error) {
                error.printStackTrace();
                System.exit(1);
              }
            });
    thread.setDaemon(true);
    thread.start();
  }

  public static void main(String[] arguments) throws Exception {
    Smsc smsc = new Smsc(arguments.length > 0 && arguments[0].equals("receipts"));
    start(smsc::deliver);
    start(smsc::serve);
    // Ends with the test that started it.
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine())
      if (line.isEmpty()) say("settled", "");
      else smsc.waiting.add(new Delivery(line, "77010000001", 0));
  }

  /** Gives jsmpp the socket whose free port is known already. */
  record Already(ServerSocket socket) implements ServerConnectionFactory {
    public ServerConnection listen(int port) {
      return new ServerSocketConnection(socket);
    }

    public ServerConnection listen(int port, int timeout) throws IOException {
      socket.setSoTimeout(timeout);
      return listen(port);
    }

    public ServerConnection listen(int port, int timeout, int backlog) throws IOException {
      return listen(port, timeout);
    }
  }

  /** Takes messages, and refuses what messaging never asks for. */
  record Receiver(Smsc smsc) implements ServerMessageReceiverListener {
    static final int INVALID_COMMAND = 3;

    static ProcessRequestException refused() {
      return new ProcessRequestException("not here", INVALID_COMMAND);
    }

    public SubmitSmResult onAcceptSubmitSm(SubmitSm pdu, SMPPServerSession session)
        throws ProcessRequestException {
      return smsc.submitted(pdu);
    }

    public SubmitMultiResult onAcceptSubmitMulti(SubmitMulti pdu, SMPPServerSession session)
        throws ProcessRequestException {
      throw refused();
    }

    public QuerySmResult onAcceptQuerySm(QuerySm pdu, SMPPServerSession session)
        throws ProcessRequestException {
      throw refused();
    }

    public void onAcceptReplaceSm(ReplaceSm pdu, SMPPServerSession session)
        throws ProcessRequestException {
      throw refused();
    }

    public void onAcceptCancelSm(CancelSm pdu, SMPPServerSession session)
        throws ProcessRequestException {
      throw refused();
    }

    public BroadcastSmResult onAcceptBroadcastSm(BroadcastSm pdu, SMPPServerSession session)
        throws ProcessRequestException {
      throw refused();
    }

    public void onAcceptCancelBroadcastSm(CancelBroadcastSm pdu, SMPPServerSession session)
        throws ProcessRequestException {
      throw refused();
    }

    public QueryBroadcastSmResult onAcceptQueryBroadcastSm(
        QueryBroadcastSm pdu, SMPPServerSession session) throws ProcessRequestException {
      throw refused();
    }

    public DataSmResult onAcceptDataSm(DataSm pdu, Session session) throws ProcessRequestException {
      throw refused();
    }
  }
}
