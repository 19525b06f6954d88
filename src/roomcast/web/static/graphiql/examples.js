// The five first operations in the order a newcomer needs them: run from left to right, each one works.

// A name that is still free and a password nobody can guess: the first tab must work wherever it is tried.
const chance = () => crypto.getRandomValues(new Uint32Array(1))[0].toString(36);

const json = (values) => JSON.stringify(values, null, 2);

export const examples = [
  {
    query: `# 1. Make an account.
# Its token then fills the Headers of every tab.
mutation SignUp($input: SignupInput!) {
  signup(input: $input) {
    errors { code message }
    user { id username }
    tokens { accessToken refreshToken }
  }
}
`,
    variables: json({ input: { username: `guest_${chance()}`, password: `chosen-${chance()}-${chance()}` } }),
  },
  {
    query: `# 2. Open a room.
# Its id then fills the Variables of the other tabs.
mutation CreateRoom($input: CreateRoomInput!) {
  createRoom(input: $input) {
    errors { code message }
    room { id name streamCursor }
  }
}
`,
    variables: json({ input: { name: `Lobby ${chance()}` } }),
  },
  {
    query: `# 3. Say something.
# With a clientMessageId (a UUID you make),
# sending it twice still says it once.
mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) {
    errors { code message }
    message { id seq body createdAt }
    replayed
  }
}
`,
    variables: json({ input: { roomId: "", body: "Hello, room!" } }),
  },
  {
    query: `# 4. Listen: what came after the cursor, then live.
# Send from a second window and watch it arrive.
subscription RoomMessages(
  $roomId: ID!
  $after: Cursor
) {
  roomMessages(roomId: $roomId, after: $after) {
    cursor
    replayed
    message { id seq body author { username } }
  }
}
`,
    variables: json({ roomId: "", after: null }),
  },
  {
    query: `# 5. Read back. Subscribe with after: streamCursor
# and nothing is missed or repeated.
query History($roomId: ID!) {
  messages(roomId: $roomId, last: 50) {
    nodes { id seq body author { username } }
    pageInfo { hasPreviousPage startCursor }
    streamCursor
  }
}
`,
    variables: json({ roomId: "" }),
  },
];
