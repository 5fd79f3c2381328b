<?php
// Times messages for users who are not there: php bench_queue.php WHAT ADDRESS CALLS. WHAT is `deliver`, `deliver-receipt`, which asks
// after each message what has become of it and so knows that it is on disk, or `queue`, which pushes to Yii's queue on redis.
// Prints messages a second, and microseconds of the median and the 99th percentile of a call, as JSON.

use GatewayClient\Gateway;

[, $what, $address, $calls] = $argv;
$payload = str_repeat('x', 200);

/** Gives what keeps a message with this number, and what waits until all of them are kept. */
function queue(string $address, string $payload): array
{
    require getenv('YII2_PATH') . '/Yii.php';
    Yii::setAlias('@yii/queue', getenv('YII2_QUEUE_PATH'));
    Yii::setAlias('@yii/queue/redis', getenv('YII2_QUEUE_PATH') . '/drivers/redis');
    Yii::setAlias('@yii/redis', getenv('YII2_REDIS_PATH'));
    /** What a program would send once somebody takes it from the queue. */
    final class Push extends yii\base\BaseObject implements yii\queue\JobInterface
    {
        public string $uid = '';
        public string $message = '';

        public function execute($queue)
        {
        }
    }
    [$host, $port] = explode(':', $address);
    new yii\console\Application(['id' => 'bench', 'basePath' => __DIR__, 'components' => [
        'redis' => ['class' => yii\redis\Connection::class, 'hostname' => $host, 'port' => (int) $port],
        'queue' => ['class' => yii\queue\redis\Queue::class],
    ]]);
    $queue = Yii::$app->get('queue');

    return [
        fn (int $i) => $queue->push(new Push(['uid' => 'user-' . $i % 1000, 'message' => $payload])),
        fn () => null,
    ];
}

if ($what === 'queue') {
    [$keep, $wait] = queue($address, $payload);
} else {
    Gateway::$registerAddress = $address;
    $id = '';
    $deliver = function (int $i) use ($payload, &$id): void {
        $id = Gateway::deliverToUid('user-' . $i % 1000, $payload);
    };
    $wait = function () use (&$id): void {
        if (Gateway::receipt($id) === []) {
            exit('a message was not kept');
        }
    };
    $keep = $what === 'deliver' ? $deliver : function (int $i) use ($deliver, $wait): void {
        $deliver($i);
        $wait();
    };
}

for ($i = 0; $i < 20; $i++) {
    $keep($i);
}
$wait();
$times = [];
$begin = hrtime(true);
for ($i = 0; $i < $calls; $i++) {
    $before = hrtime(true);
    $keep($i);
    $times[] = hrtime(true) - $before;
}
$wait();
$seconds = (hrtime(true) - $begin) / 1e9;
sort($times);
$at = static fn (float $share): float => $times[(int) ($share * (count($times) - 1))] / 1e3;
echo json_encode(['rate' => $calls / $seconds, 'p50' => $at(0.5), 'p99' => $at(0.99)]), "\n";
