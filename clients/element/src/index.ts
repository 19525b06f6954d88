import { RoomcastRoom } from "./element";

export { RoomcastRoom };

if (!customElements.get("roomcast-room")) customElements.define("roomcast-room", RoomcastRoom);
