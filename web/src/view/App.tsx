/** The root component: the chat for a signed-in user, otherwise the welcome page. */
import { useEffect, useState } from "preact/hooks";
import { session } from "../api/session";
import { Chat, ChatContext } from "../state/chat";
import { useStore } from "../store";
import { ChatPage } from "./ChatPage";
import { Welcome } from "./Welcome";

export function App() {
  const userId = useStore(session)?.userId ?? null;
  const [chat, setChat] = useState<Chat | null>(null);

  // One chat per user and not per session value, so that refreshed tokens do not restart it.
  useEffect(() => {
    if (!userId) return;
    const opened = new Chat(userId);
    setChat(opened);
    return () => {
      opened.close();
      setChat(null);
    };
  }, [userId]);

  if (!userId) return <Welcome />;
  if (!chat) return null;
  return (
    <ChatContext.Provider value={chat}>
      <ChatPage />
    </ChatContext.Provider>
  );
}
