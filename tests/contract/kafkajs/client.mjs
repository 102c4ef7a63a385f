// kafkajs, unchanged. `node client.mjs write BROKER TOPIC` reads lines of {key, value, partition?} from standard input,
// keys and values in hex or null. `node client.mjs read BROKER TOPIC UNTIL` prints committed records so, until one
// whose value holds UNTIL, in hex.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { Kafka, CompressionTypes, Partitioners, logLevel } = createRequire(import.meta.url)("kafkajs");
const [work, broker, topic, until] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "foreign", brokers: [broker], logLevel: logLevel.ERROR });
const bytes = (hex) => (hex === null ? null : Buffer.from(hex, "hex"));
const hex = (buffer) => (buffer === null ? null : buffer.toString("hex"));

async function write() {
  const messages = [];
  for await (const line of createInterface({ input: process.stdin })) {
    const { key, value, partition } = JSON.parse(line);
    messages.push({ key: bytes(key), value: bytes(value), partition });
  }
  const producer = kafka.producer({ createPartitioner: Partitioners.LegacyPartitioner, allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({ topic, messages, acks: -1, compression: CompressionTypes.GZIP });
  await producer.disconnect();
}

async function read() {
  const consumer = kafka.consumer({ groupId: `${topic}-kafkajs`, readUncommitted: false, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer.run({
      eachMessage: async ({ message }) => {
        console.log(JSON.stringify({ key: hex(message.key), value: hex(message.value) }));
        if (message.value?.includes(bytes(until))) resolve();
      },
    });
  });
  await consumer.disconnect();
}

await { write, read }[work]();
