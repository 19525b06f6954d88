/** For tests of your own client, in Node: a proxy that cuts its connections, and loses answers. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** Put it between client and server. `url` is its address. */
export class KillingProxy {
  /** How many of the next answers are lost: the connection is cut when the server has answered. */
  loseAnswers = 0;
  /** Refuse new connections. */
  isDown = false;
  readonly #open = new Set<Socket>();
  readonly #server;

  private constructor(private readonly target: URL) {
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(serverUrl: string): Promise<KillingProxy> {
    const proxy = new KillingProxy(new URL(serverUrl));
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets every connection, on both sides. */
  cut(): void {
    for (const socket of this.#open) socket.resetAndDestroy();
  }

  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    return closed;
  }

  #accept(client: Socket): void {
    if (this.isDown) return void client.resetAndDestroy();
    const server = connect(Number(this.target.port || 80), this.target.hostname);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(one);
      one.on("close", () => {
        this.#open.delete(one);
        other.destroy();
      });
      one.on("error", () => undefined); // "close" follows
    }
    client.pipe(server);
    server.on("data", (chunk) => {
      if (this.loseAnswers === 0) return void client.write(chunk);
      this.loseAnswers -= 1;
      this.cut();
    });
  }
}
