// Verify and BatchVerify through the gateway, for k6, in an open model: calls start at a fixed rate
// whether or not the calls before them were answered, so that a slow answer delays no other call
// and hides none. A call that should have started while every VU still waited is counted as
// dropped. Prints latency percentiles of the answered calls, a line for each offered rate.
import grpc from 'k6/net/grpc';
import exec from 'k6/execution';
import { SharedArray } from 'k6/data';
import { Counter } from 'k6/metrics';

const GATEWAY = __ENV.GATEWAY || '127.0.0.1:8080';
const FOLDER = __ENV.PAYLOADS;
const STEP_SECONDS = Number(__ENV.STEP_SECONDS || 7);
// Nothing is sent for a second between two steps: what a step left behind is its own.
const PAUSE_SECONDS = 1;
const CALLS = {
  verify: {
    method: 'qagazsyz.signing.v1.VerificationService/Verify',
    rates: rates(__ENV.VERIFY_RATES || '100,200,400,800'),
  },
  batch_verify: {
    method: 'qagazsyz.signing.v1.VerificationService/BatchVerify',
    rates: rates(__ENV.BATCH_VERIFY_RATES || '5,10,20,40'),
  },
};
// As many calls may be unanswered at once before one is dropped.
const WAITING = Number(__ENV.WAITING || 200);
const VALID = 'VERDICT_VALID';

const metadata = JSON.parse(open(`${FOLDER}/metadata.json`));
const payloads = {
  verify: new SharedArray('verify', () => JSON.parse(open(`${FOLDER}/verify.json`))),
  batch_verify: new SharedArray('batch', () => JSON.parse(open(`${FOLDER}/batch-verify.json`))),
};
// Refused for being too many at once, which a server may; anything else but an answer is a failure.
const refused = new Counter('refused');
const failed = new Counter('failed');

const client = new grpc.Client();
client.loadProtoset('../../client/qagazsyz/contracts.desc');
let connected = false;

function rates(text) {
  return text.split(',').filter(Boolean).map(Number);
}

const steps = Object.entries(CALLS).flatMap(([call, { rates }]) =>
  rates.map((rate) => ({ call, rate, name: `${call}_${rate}` })),
);

function scenarios() {
  const found = {};
  steps.forEach(({ call, rate, name }, index) => {
    found[name] = {
      executor: 'constant-arrival-rate',
      exec: call,
      rate,
      duration: `${STEP_SECONDS}s`,
      startTime: `${index * (STEP_SECONDS + PAUSE_SECONDS)}s`,
      gracefulStop: `${PAUSE_SECONDS}s`,
      preAllocatedVUs: WAITING,
    };
  });
  return found;
}

// k6 keeps figures by scenario only for what has a threshold; these always hold but the first.
function thresholds() {
  const found = { failed: ['count==0'] };
  for (const { name } of steps) {
    found[`grpc_req_duration{scenario:${name},status:0}`] = ['max>=0'];
    for (const metric of ['dropped_iterations', 'refused', 'failed']) {
      found[`${metric}{scenario:${name}}`] = ['count>=0'];
    }
  }
  return found;
}

export const options = {
  scenarios: scenarios(),
  thresholds: thresholds(),
  summaryTrendStats: ['count', 'p(50)', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
};

export function verify() {
  const answer = send('verify');
  if (answer !== null && answer.verdict !== VALID) failed.add(1);
}

export function batch_verify() {
  const answer = send('batch_verify');
  if (answer !== null && answer.verdicts.some((verdict) => verdict !== VALID)) failed.add(1);
}

function send(call) {
  if (!connected) {
    client.connect(GATEWAY, { plaintext: true });
    connected = true;
  }
  const requests = payloads[call];
  const request = requests[exec.scenario.iterationInTest % requests.length];
  const answer = client.invoke(CALLS[call].method, request, { metadata });
  if (answer.status === grpc.StatusOK) return answer.message;
  (answer.status === grpc.StatusResourceExhausted ? refused : failed).add(1);
  return null;
}

export function handleSummary(data) {
  const rows = steps.map(({ call, rate, name }) => {
    const values = (metric) => (data.metrics[metric] || { values: {} }).values;
    const latency = values(`grpc_req_duration{scenario:${name},status:0}`);
    const count = (metric) => values(`${metric}{scenario:${name}}`).count || 0;
    return {
      call,
      'offered/s': rate,
      'answered/s': ((latency.count || 0) / STEP_SECONDS).toFixed(1),
      'p50 ms': milliseconds(latency['p(50)']),
      'p90 ms': milliseconds(latency['p(90)']),
      'p99 ms': milliseconds(latency['p(99)']),
      'p99.9 ms': milliseconds(latency['p(99.9)']),
      'max ms': milliseconds(latency.max),
      refused: count('refused'),
      failed: count('failed'),
      dropped: count('dropped_iterations'),
    };
  });
  return { stdout: table(rows) };
}

function milliseconds(value) {
  return value === undefined ? '-' : value.toFixed(1);
}

function table(rows) {
  const columns = Object.keys(rows[0]);
  const lines = [columns, ...rows.map((row) => columns.map((column) => String(row[column])))];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index].length)));
  const text = lines.map((line) =>
    line.map((cell, index) => (index ? cell.padStart(widths[index]) : cell.padEnd(widths[index]))),
  );
  return text.map((line) => line.join('  ')).join('\n') + '\n';
}
