/** The page for visitors who are not signed in: the sign-in form and links to the API. */
import { SignInForm } from "./SignInForm";

const LINKS = [
  { href: "/graphql", name: "GraphiQL", about: "Try the API in the browser" },
  { href: "/docs", name: "API reference", about: "Types, codes, examples" },
  { href: "/schema.graphql", name: "Schema", about: "For editors and codegen" },
  { href: "/health/ready", name: "Health", about: "Is this server ready?" },
];

export function Welcome() {
  return (
    <div class="welcome">
      <main>
        <section class="intro">
          <h1>
            <img src="/static/icon.svg" alt="" width="44" height="44" />
            roomcast
          </h1>
          <p class="lead">
            Chat on a server of your own. No message is lost or shown twice. After a break you find everything in order.
          </p>
        </section>
        <SignInForm />
        <section class="build" aria-labelledby="build">
          <h2 id="build">Build on it</h2>
          <p>Everything this page does goes through one typed GraphQL API. Your own client can do the same.</p>
          <nav class="links" aria-label="This server">
            {LINKS.map(({ href, name, about }) => (
              <a href={href} key={href}>
                <strong>{name}</strong>
                <span>{about}</span>
              </a>
            ))}
          </nav>
          <dl class="facts">
            <div>
              <dt>Queries and mutations</dt>
              <dd>
                <code>POST /graphql</code>
              </dd>
            </div>
            <div>
              <dt>Subscriptions</dt>
              <dd>
                WebSocket <code>/graphql</code>, subprotocol <code>graphql-transport-ws</code>
              </dd>
            </div>
            <div>
              <dt>Authentication</dt>
              <dd>
                <code>Authorization: Bearer …</code>, as a header or in <code>connection_init</code>
              </dd>
            </div>
          </dl>
        </section>
      </main>
    </div>
  );
}
