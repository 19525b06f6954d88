import { createRoomcast } from "@roomcast/client";
import { RoomcastProvider, useMessages, useRooms, useSession } from "@roomcast/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

const url = new URLSearchParams(location.search).get("server") ?? "http://127.0.0.1:8000";
const onSubmit = (use) => (event) => {
  event.preventDefault();
  use(Object.fromEntries(new FormData(event.target)));
  event.target.reset();
};

function SignIn() {
  const { login } = useSession();
  const submit = ({ name, password }) => login(name, password).catch(({ code }) => alert(code));
  return (
    <form onSubmit={onSubmit(submit)}>
      <input name="name" placeholder="Name" /> <input name="password" type="password" placeholder="Password" />
      <button>Sign in</button>
    </form>
  );
}

function Room({ id, name }) {
  const { messages, unsent, send } = useMessages(id);
  const lines = [...messages, ...unsent].map(({ id, author, body }) => (
    <li key={id}>{author ? `${author.displayName}: ${body}` : body}</li>
  ));
  return (
    <form onSubmit={onSubmit(({ body }) => send(body))}>
      <h1>{name}</h1> <ol>{lines}</ol> <input name="body" placeholder="Message" autoComplete="off" />
    </form>
  );
}

const Rooms = () => useRooms()?.map((room) => <Room key={room.id} id={room.id} name={room.name} />);
const App = () => (useSession().session ? <Rooms /> : <SignIn />);
const provider = <RoomcastProvider roomcast={createRoomcast({ url })} children={<App />} />;
createRoot(document.getElementById("root")).render(<StrictMode>{provider}</StrictMode>);
