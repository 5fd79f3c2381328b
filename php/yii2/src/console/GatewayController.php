<?php

declare(strict_types=1);

namespace PushGateway\Yii2\console;

use PushGateway\Worker\Command;
use PushGateway\Yii2\Gateway;
use PushGateway\Yii2\Translation;
use Yii;
use yii\base\ErrorHandler;
use yii\base\Exception as YiiException;
use yii\console\Controller;
use yii\console\ExitCode;
use yii\console\widgets\Table;
use yii\db\Connection;
use yii\di\Instance;
use yii\helpers\Console;
use yii\redis\Connection as RedisConnection;

/**
 * Shows the state of the push gateway and what waits in it, sends messages, and runs workers that handle its clients' events.
 */
class GatewayController extends Controller
{
    /** How many groups gateway/status lists. */
    private const MAX_GROUPS = 50;

    public $defaultAction = 'status';

    /** @var Gateway|array<string, mixed>|string the component, its configuration or its id */
    public Gateway|array|string $gateway = 'gateway';

    /** @var string|null gateway/send: to all clients of this uid */
    public ?string $uid = null;

    /** @var string|null gateway/send: to all clients in this group */
    public ?string $group = null;

    /** @var string|null gateway/send: to the client with this client_id */
    public ?string $client = null;

    /** @var bool gateway/send: to everybody */
    public bool $all = false;

    /** @var bool gateway/send: refuse what is no JSON */
    public bool $json = false;

    /** @var list<string> gateway/send: client_ids, separated by commas, that do not get it */
    public array $exclude = [];

    /** @var list<string> gateway/send: uids, separated by commas, whose clients do not get it */
    public array $excludeUid = [];

    /** @var list<string> gateway/send: groups, separated by commas, whose members do not get it */
    public array $excludeGroup = [];

    /** @var bool gateway/send: websocket clients get it as a binary message, whatever the server is set to */
    public bool $binary = false;

    /** @var bool gateway/send: websocket clients get it as a text message, whatever the server is set to */
    public bool $text = false;

    /** @var bool gateway/send: the bytes go out as they are, without the framing of the client's protocol */
    public bool $raw = false;

    /** @var bool gateway/status: list groups, the largest first */
    public bool $groups = false;

    /** @var string|null gateway/worker: how many processes */
    public ?string $count = null;

    /** @var string|null gateway/worker: the class in the file, Events unless it is given */
    public ?string $handler = null;

    /** @var string|null gateway/worker: the register address, the component's unless it is given; several by commas */
    public ?string $register = null;

    /** @var string|null gateway/worker: the name of these workers in the server's log */
    public ?string $name = null;

    /** @var string|null gateway/worker…: where the first process says who it is */
    public ?string $pidFile = null;

    /** @var string|null gateway/worker: seconds that a process may take at the end to handle what it has */
    public ?string $stopTimeout = null;

    /** @var string|null gateway/worker: seconds that a handler may take before its process is replaced; no limit by default */
    public ?string $handlerTimeout = null;

    /** @var string|null gateway/worker: memory that PHP may use in a process, such as 256M */
    public ?string $maxMemory = null;

    /** @var string|null gateway/worker: events after which a process is replaced; no limit by default */
    public ?string $maxEvents = null;

    /** @return string[] */
    public function options($actionID): array
    {
        $own = match ($actionID) {
            'send' => [
                'gateway', 'uid', 'group', 'client', 'all', 'json',
                'exclude', 'excludeUid', 'excludeGroup', 'binary', 'text', 'raw',
            ],
            'status' => ['gateway', 'groups'],
            'inbox', 'inbox-receipt', 'forget' => ['gateway'],
            'worker' => [
                'gateway', 'count', 'handler', 'register', 'name', 'pidFile', 'stopTimeout',
                'handlerTimeout', 'maxMemory', 'maxEvents',
            ],
            'worker-status', 'worker-reload', 'worker-stop' => ['pidFile'],
            default => [],
        };

        return [...parent::options($actionID), ...$own];
    }

    /**
     * Shows how many clients, uids and groups there are. The exit code is 69 when the gateway does not answer, or
     * refuses.
     */
    public function actionStatus(): int
    {
        return $this->withGateway(function (Gateway $gateway): int {
            $began = hrtime(true);
            $clients = $gateway->getAllClientIdCount();
            $milliseconds = (hrtime(true) - $began) / 1e6;
            $groups = $gateway->getAllGroupIdList();
            $rows = [
                [Translation::t('Register address'), $this->address($gateway)],
                [Translation::t('Answer within'), sprintf('%.1f ms', $milliseconds)],
                [Translation::t('Clients'), (string) $clients],
                [Translation::t('Uids'), (string) $gateway->getAllUidCount()],
                [Translation::t('Groups'), (string) count($groups)],
            ];
            $this->stdout(Table::widget(['headers' => [Translation::t('Gateway'), ''], 'rows' => $rows]));
            if ($this->groups && $groups !== []) {
                $this->listGroups($gateway->batchGetClientIdCountByGroup(array_values($groups)));
            }

            return ExitCode::OK;
        });
    }

    /**
     * Sends a message, as in: yii gateway/send '{"type":"comment"}' --uid=7. The exit code is 64 when the command is wrong, and
     * 69 when the gateway does not answer, or refuses.
     *
     * @param string|null $message is sent as it is; - stands for the standard input
     */
    public function actionSend(?string $message = null): int
    {
        if ($message === null) {
            // Yii takes a message behind --all for the value of that option.
            return $this->usageError(Translation::t('The message comes first: yii gateway/send MESSAGE --uid=…'));
        }
        $to = array_filter(['uid' => $this->uid, 'group' => $this->group, 'client' => $this->client], is_string(...));
        if (count($to) + (int) $this->all !== 1 || in_array('', $to, true)) {
            return $this->usageError(Translation::t('To whom? Give one of --uid=…, --group=…, --client=… and --all.'));
        }
        $wrong = $this->wrongOption();
        if ($wrong !== null) {
            return $this->usageError($wrong);
        }
        $message = $message === '-' ? (string) stream_get_contents(\STDIN) : $message;
        if ($this->json && json_decode($message) === null && json_last_error() !== JSON_ERROR_NONE) {
            return $this->usageError(Translation::t('That is no JSON: {why}.', ['why' => json_last_error_msg()]));
        }

        return $this->withGateway(function (Gateway $gateway) use ($message): int {
            $gateway->onError = Gateway::ON_ERROR_THROW;
            $receivers = $this->send($gateway, $message);
            $said = Translation::t('Sent to {n, plural, =0{nobody, since no client is online} one{1 client} other{# clients}}.', [
                'n' => $receivers,
            ]);
            $this->stdout("$said\n");

            return ExitCode::OK;
        });
    }

    /**
     * Shows what was delivered to a uid and waits for its devices, as in: yii gateway/inbox 7.
     *
     * @param string $uid the uid, as it was given to deliverToUid
     */
    public function actionInbox(string $uid): int
    {
        return $this->withGateway(function (Gateway $gateway) use ($uid): int {
            $inbox = $gateway->inboxOf($uid);
            if ($inbox === null) {
                return $this->say(Translation::t('The inbox knows nothing of uid {uid}.', ['uid' => $uid]));
            }
            $this->say($this->describeWaiting($inbox['messages'], $inbox['bytes']));
            $rows = [];
            foreach ($inbox['devices'] as $device) {
                $rows[] = [
                    $this->deviceName($device),
                    (string) $device['waiting'],
                    (string) $device['lost'],
                    $this->time($device['seen']),
                ];
            }

            return $this->table([
                Translation::t('Device'),
                Translation::t('Waiting'),
                Translation::t('Lost'),
                Translation::t('Last seen'),
            ], $rows, Translation::t('No device has come yet.'));
        });
    }

    /**
     * Shows what has become of a message that was delivered, by its uids and their devices, as in: yii gateway/inbox-receipt
     * order-5.
     *
     * @param string $id the id that deliverToUid was given or has returned
     */
    public function actionInboxReceipt(string $id): int
    {
        return $this->withGateway(function (Gateway $gateway) use ($id): int {
            $receipts = $gateway->receipt($id);
            if ($receipts === []) {
                return $this->say(Translation::t('No message has the id {id}, or its time has ended.', ['id' => $id]));
            }
            foreach ($receipts as $receipt) {
                $end = $receipt['waiting'] ? $receipt['expires'] : null;
                $this->say($this->describeMessage($receipt['uid'], $receipt['stored'], $end));
                $rows = [];
                foreach ($receipt['devices'] as $device) {
                    $times = array_map($this->time(...), [$device['written'], $device['received'], $device['read']]);
                    $rows[] = [$this->deviceName($device), ...$times];
                }
                $this->table([
                    Translation::t('Device'),
                    Translation::t('Written'),
                    Translation::t('Received'),
                    Translation::t('Read'),
                ], $rows, Translation::t('It was written to no device.'));
            }

            return ExitCode::OK;
        });
    }

    /**
     * Forgets all that was delivered to a uid, its devices and what they have got, as in: yii gateway/forget 7. It asks before,
     * unless --interactive=0 is given.
     *
     * @param string $uid the uid, as it was given to deliverToUid
     */
    public function actionForget(string $uid): int
    {
        return $this->withGateway(function (Gateway $gateway) use ($uid): int {
            $inbox = $gateway->inboxOf($uid);
            if ($inbox === null) {
                return $this->say(Translation::t('The inbox knows nothing of uid {uid}.', ['uid' => $uid]));
            }
            $this->say($this->describeWaiting($inbox['messages'], $inbox['bytes']));
            if (!$this->confirm(Translation::t('Forget all of uid {uid} in the inbox?', ['uid' => $uid]))) {
                return $this->say(Translation::t('Nothing was forgotten.'));
            }
            $gateway->forget($uid);
            // The answer makes it certain that the gateway has done it, or brings the warning that it has not.
            $gateway->inboxOf($uid);

            return $this->say(Translation::t('Uid {uid} is forgotten.', ['uid' => $uid]));
        });
    }

    /**
     * Starts processes that handle the events of the gateway's clients, as in: yii gateway/worker Events.php --count=4.
     * Their code can use this application, as it was at the start. The command ends by gateway/worker-stop, SIGTERM or SIGINT.
     *
     * @param string $file the file with the class Events, as GatewayWorker has it
     */
    public function actionWorker(string $file): int
    {
        $gateway = $this->gateway();
        $this->closeConnections();
        $handler = Yii::$app->getErrorHandler();
        $handler instanceof ErrorHandler && $handler->unregister();

        $options = $this->runnerArguments('start', [Yii::getAlias($file)]);

        return Command::run($options, function (?string $register) use ($gateway, $handler): void {
            $handler instanceof ErrorHandler && $handler->register();
            $this->logAtOnce();
            // The component has to use the same gateway as the runner.
            $gateway->registerAddress = $register ?? $gateway->registerAddress;
            $gateway->secretKey = getenv('GATEWAY_SECRET_KEY') ?: $gateway->secretKey;
            $gateway->apply();
        });
    }

    /**
     * Shows the processes of gateway/worker.
     */
    public function actionWorkerStatus(): int
    {
        return Command::run($this->runnerArguments('status'));
    }

    /**
     * Replaces the processes of gateway/worker one after the other, with the handler's file as it is now.
     */
    public function actionWorkerReload(): int
    {
        return Command::run($this->runnerArguments('reload'));
    }

    /**
     * Ends the processes of gateway/worker, each after it has handled the events that it has.
     */
    public function actionWorkerStop(): int
    {
        return Command::run($this->runnerArguments('stop'));
    }

    /** Says what is wrong with the options of gateway/send beside each other; null when nothing is. */
    private function wrongOption(): ?string
    {
        $lists = ['exclude' => $this->exclude, 'exclude-uid' => $this->excludeUid, 'exclude-group' => $this->excludeGroup];
        foreach ($lists as $option => $values) {
            if (array_filter($values, fn (mixed $value) => !is_string($value) || $value === '') !== []) {
                return Translation::t('Whom does --{option} leave out? Give --{option}=…, several separated by commas.', [
                    'option' => $option,
                ]);
            }
        }
        foreach ([...(array) $this->client, ...$this->exclude] as $id) {
            if (!preg_match('/^[0-9a-f]{20}\z/i', $id)) {
                return Translation::t('{id} is no client_id.', ['id' => $id]);
            }
        }

        return match (true) {
            $this->client !== null && array_filter($lists) !== [] => Translation::t('Nobody can be left out of --client=….'),
            $this->binary && $this->text => Translation::t('Give one of --binary and --text.'),
            default => null,
        };
    }

    /**
     * Sends the message, and gives how many clients get it. They are asked for afterwards, since the answer makes it certain that
     * the message has come to the gateway.
     */
    private function send(Gateway $gateway, string $message): int
    {
        $binary = $this->binary || $this->text ? $this->binary : null;
        if ($this->client !== null) {
            $gateway->sendToClient($this->client, $message, $this->raw, $binary);
            return $gateway->isOnline($this->client);
        }
        $clients = array_map('strtolower', $this->exclude);
        foreach ($this->excludeUid as $uid) {
            $clients = [...$clients, ...$gateway->getClientIdByUid($uid)];
        }
        $exclude = $clients === [] ? null : $clients;
        $groups = $this->excludeGroup === [] ? null : $this->excludeGroup;
        match (true) {
            $this->uid !== null => $gateway->sendToUid($this->uid, $message, $this->raw, $exclude, $groups, $binary),
            $this->group !== null => $gateway->sendToGroup($this->group, $message, $exclude, $this->raw, $groups, $binary),
            default => $gateway->sendToAll($message, null, $exclude, $this->raw, $groups, $binary),
        };
        if ($exclude === null && $groups === null) {
            return match (true) {
                $this->uid !== null => count($gateway->getClientIdByUid($this->uid)),
                $this->group !== null => $gateway->getClientIdCountByGroup($this->group),
                default => $gateway->getAllClientIdCount(),
            };
        }
        $receivers = match (true) {
            $this->uid !== null => $gateway->getClientIdByUid($this->uid),
            $this->group !== null => $gateway->getClientIdListByGroup($this->group),
            default => $gateway->getAllClientIdList(),
        };
        $members = $groups === null ? [] : $gateway->getClientIdListByGroup($groups);

        return count(array_diff($receivers, $clients, $members));
    }

    /** @param array<string|int, int> $counts */
    private function listGroups(array $counts): void
    {
        arsort($counts);
        $rows = [];
        foreach (array_slice($counts, 0, self::MAX_GROUPS, true) as $group => $count) {
            $rows[] = [(string) $group, (string) $count];
        }
        if (count($counts) > self::MAX_GROUPS) {
            $rows[] = ['…', ''];
        }
        $this->stdout(Table::widget([
            'headers' => [Translation::t('Group'), Translation::t('Clients')],
            'rows' => $rows,
        ]));
    }

    private function describeWaiting(int $messages, int $bytes): string
    {
        return Translation::t('{n, plural, =0{No message waits} one{1 message waits} other{# messages wait}}, {bytes} bytes.', [
            'n' => $messages,
            'bytes' => $bytes,
        ]);
    }

    private function describeMessage(string $uid, int $stored, ?int $end): string
    {
        $values = ['uid' => $uid, 'stored' => $this->time($stored), 'end' => $this->time($end)];

        return $end === null
            ? Translation::t('Uid {uid}: kept at {stored}, waits no longer.', $values)
            : Translation::t('Uid {uid}: kept at {stored}, waits until {end} at most.', $values);
    }

    /** @param array{device: string, signed: bool, ...} $device */
    private function deviceName(array $device): string
    {
        $name = $device['device'] === '' ? Translation::t('without a name') : $device['device'];

        return $device['signed'] ? Translation::t('{device} (by token)', ['device' => $name]) : $name;
    }

    /** Gives a time of the gateway, in milliseconds since 1970, in the application's time zone. */
    private function time(?int $milliseconds): string
    {
        return $milliseconds === null ? '—' : date('Y-m-d H:i:s', intdiv($milliseconds, 1000));
    }

    /**
     * @param list<string> $headers
     * @param list<list<string>> $rows
     */
    private function table(array $headers, array $rows, string $otherwise): int
    {
        if ($rows === []) {
            return $this->say($otherwise);
        }
        $this->stdout(Table::widget(['headers' => $headers, 'rows' => $rows]));

        return ExitCode::OK;
    }

    private function say(string $text): int
    {
        $this->stdout("$text\n");

        return ExitCode::OK;
    }

    private function address(Gateway $gateway): string
    {
        return $gateway->registerAddress === null
            ? Translation::t('as in php.ini')
            : implode(', ', (array) $gateway->registerAddress);
    }

    /** @param \Closure(Gateway): int $ask */
    private function withGateway(\Closure $ask): int
    {
        $gateway = $this->gateway();
        try {
            return $ask($gateway);
        } catch (YiiException | \ErrorException $wrong) {
            throw $wrong;
        } catch (\Exception $failed) {
            $this->stderr(FailedCall::describe($failed) . " {$failed->getMessage()}\n", Console::FG_RED);

            return ExitCode::UNAVAILABLE;
        }
    }

    private function usageError(string $why): int
    {
        $this->stderr("$why\n", Console::FG_RED);

        return ExitCode::USAGE;
    }

    private function gateway(): Gateway
    {
        return Instance::ensure($this->gateway, Gateway::class);
    }

    /**
     * The command line of gateway-worker.
     *
     * @param list<string> $words
     * @return list<string>
     */
    private function runnerArguments(string $command, array $words = []): array
    {
        $options = [
            'count' => $this->count,
            'handler' => $this->handler,
            'register' => $this->register,
            'name' => $this->name,
            'pid-file' => $this->pidFile === null ? null : Yii::getAlias($this->pidFile),
            'stop-timeout' => $this->stopTimeout,
            'handler-timeout' => $this->handlerTimeout,
            'max-memory' => $this->maxMemory,
            'max-events' => $this->maxEvents,
        ];
        $given = array_filter($options, fn ($value) => $value !== null);

        return [
            $command,
            ...$words,
            ...array_map(fn ($name, $value) => "--$name=$value", array_keys($given), $given),
        ];
    }

    /** Closes connections to databases, since processes must not share one. Each worker opens its own when it needs it. */
    private function closeConnections(): void
    {
        Yii::getLogger()->flush(true);
        foreach (Yii::$app->getComponents(false) as $component) {
            if ($component instanceof Connection || $component instanceof RedisConnection) {
                $component->close();
            }
        }
    }

    /** Lets log lines out at once, since a worker lives long and Yii collects a thousand lines otherwise. */
    private function logAtOnce(): void
    {
        Yii::getLogger()->flushInterval = 1;
        foreach (Yii::$app->getLog()->targets as $target) {
            $target->exportInterval = 1;
        }
    }
}
