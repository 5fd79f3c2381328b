<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\CallEvent;
use PushGateway\Yii2\Gateway;
use PushGateway\Yii2\SendEvent;
use PushGateway\Yii2\test\FakeGateway;
use yii\base\InvalidConfigException;
use yii\log\Logger;

final class GatewayTest extends TestCase
{
    public function testWhatIsSentIsKept(): void
    {
        $this->gateway->sendToUid('ann', ['type' => 'comment']);
        $this->gateway->sendToAll('as it is');
        $this->gateway->sendToGroup(['news', 7], null);
        $this->assertSame([
            ['sendToUid', 'ann', ['type' => 'comment']],
            ['sendToAll', null, 'as it is'],
            ['sendToGroup', ['news', 7], null],
        ], $this->gateway->sent);
    }

    public function testOptionsAreKeptWithWhatIsSent(): void
    {
        $this->gateway->on(Gateway::EVENT_BEFORE_SEND, function (SendEvent $event): void {
            $event->isValid = ($event->options['excludeGroup'] ?? null) !== 'hidden';
        });
        $this->gateway->sendToUid('ann', 'a', exclude: 'c1', binary: false);
        $this->gateway->sendToAll('b', null, null, true, 'muted');
        $this->gateway->sendToGroup('news', 'c', excludeGroup: 'hidden');
        $this->gateway->sendToClient('c1', 'd', false, true);
        $this->gateway->sendToCurrentClient(['e' => 1]);
        $this->assertSame([
            ['sendToUid', 'ann', 'a', ['exclude' => 'c1', 'binary' => false]],
            ['sendToAll', null, 'b', ['raw' => true, 'excludeGroup' => 'muted']],
            ['sendToClient', 'c1', 'd', ['binary' => true]],
            ['sendToCurrentClient', null, ['e' => 1]],
        ], $this->gateway->sent);
    }

    public function testCountedMessagesAndQuestionsAreAnsweredByWhoIsThere(): void
    {
        $this->gateway->joinGroup('c1', 'news');
        $this->gateway->joinGroup('c3', 'news');
        $counts = fn (int $taken) => ['taken' => $taken, 'waiting' => 0, 'gone' => 0, 'silent' => []];
        $anns = count($this->gateway->getClientIdByUid('ann'));
        $this->assertGreaterThan(0, $anns);
        $this->assertSame($counts($anns), $this->gateway->sendToUidCounted(['ann', 'nobody', 'ann'], ['n' => 1]));
        $this->assertSame($counts(2), $this->gateway->sendToGroupCounted('news', 'n'));
        $this->assertSame($counts(1), $this->gateway->sendToGroupCounted('news', 'n', ['c3', 'c9']));
        $this->gateway->answers = ['c1' => 'yes'];
        $this->assertSame(['c1' => 'yes'], $this->gateway->ask('c1', 'well?', 0.5));
        $this->assertSame(['c3' => null], $this->gateway->ask('c3', 'well?'));
        $this->assertSame([], $this->gateway->ask('nobody', 'well?'));
        $this->assertCount($anns, $this->gateway->ask('ann', 'well?'));
        $this->assertSame(['ask', 'c1', 'well?', ['timeout' => 0.5]], $this->gateway->sent[3]);
        $this->gateway->on(Gateway::EVENT_BEFORE_SEND, fn (SendEvent $event) => $event->isValid = false);
        $this->assertNull($this->gateway->sendToUidCounted('ann', 'x'));
        $this->assertSame([], $this->gateway->ask('ann', 'x'));
    }

    public function testWhatIsDeliveredWaitsForEveryDevice(): void
    {
        $inbox = $this->gateway->inbox;
        $id = (string) $this->gateway->deliverToUid('ann', ['n' => 1]);
        $this->assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $id);
        $options = ['id' => 5, 'ttl' => 60, 'new_device' => 'all', 'binary' => null];
        $this->assertSame('5', $this->gateway->deliverToUid(['ann', 7, 0], 'to two', $options));
        $this->assertSame('5', $this->gateway->deliverToUid('ann', 'the same', ['id' => '5']));
        $this->assertSame(['deliverToUid', 'ann', ['n' => 1]], $this->gateway->sent[0]);
        unset($options['binary']);
        $this->assertSame(['deliverToUid', ['ann', 7, 0], 'to two', $options], $this->gateway->sent[1]);
        $this->assertSame([$id => '{"n":1}', 5 => 'to two'], $inbox->messages('ann'));
        $this->assertSame(['messages' => 2, 'bytes' => 13, 'devices' => []], $this->gateway->inboxOf('ann'));

        $this->assertSame(['{"n":1}', 'to two'], $inbox->fetch('ann', 'phone'));
        $this->assertSame([], $inbox->fetch('ann', 'phone'));
        $this->gateway->deliverToUid('ann', '3 in the cart', ['replace' => 'cart']);
        $this->gateway->deliverToUid('ann', 'other', ['replace' => 'other']);
        $this->gateway->deliverToUid('ann', '4 in the cart', ['replace' => 'cart']);
        $this->assertSame(['to two', 'other', '4 in the cart'], $inbox->fetch('ann', 'laptop'));
        $this->assertSame(['to two', 'other', '4 in the cart'], array_values($inbox->messages('ann')));
        $devices = $this->gateway->inboxOf('ann')['devices'] ?? [];
        $this->assertSame(['phone' => 2, 'laptop' => 0], array_column($devices, 'waiting', 'device'));
        $this->assertSame(['other', '4 in the cart'], $inbox->fetch('ann', 'phone'));
        $this->assertSame([5 => 'to two'], $inbox->messages('ann'));
        $this->gateway->deliverToUid('ann', 'anew');
        $this->assertSame([['anew'], ['anew']], [$inbox->fetch('ann', 'phone'), $inbox->fetch('ann', 'laptop')]);

        $receipts = $this->gateway->receipt('5');
        $this->assertSame(['ann', '7'], array_column($receipts, 'uid'));
        $this->assertSame([60000, 60000], array_map(fn ($one) => $one['expires'] - $one['stored'], $receipts));
        $this->assertSame(['phone', 'laptop'], array_column($receipts[0]['devices'], 'device'));
        $this->assertGreaterThanOrEqual($receipts[0]['stored'], $receipts[0]['devices'][0]['received']);
        [$first] = $this->gateway->receipt($id);
        $this->assertSame([false, ['phone']], [$first['waiting'], array_column($first['devices'], 'device')]);
        $this->assertSame([], $this->gateway->receipt('unknown'));

        $this->gateway->forget('ann');
        $this->assertNull($this->gateway->inboxOf('ann'));
        $this->assertSame(['7'], array_column($this->gateway->receipt('5'), 'uid'));
    }

    /** The keys are those of the extension's answers, as the stub documents them. */
    public function testTheInboxIsToldOfByTheKeysOfTheClass(): void
    {
        $this->gateway->deliverToUid('ann', 'm', ['id' => 'm']);
        $this->gateway->inbox->fetch('ann', 'phone');
        $stub = self::stub();
        $keys = function (mixed $value) use (&$keys): array {
            $all = [];
            foreach ((array) $value as $key => $inner) {
                $all = [...$all, ...(is_string($key) ? [$key] : []), ...(is_array($inner) ? $keys($inner) : [])];
            }
            return $all;
        };
        $answers = ['receipt' => $this->gateway->receipt('m'), 'inboxOf' => $this->gateway->inboxOf('ann')];
        foreach ($answers as $method => $answer) {
            $documented = explode("public static function $method(", $stub)[0];
            $documented = substr($documented, (int) strrpos($documented, '@return'));
            preg_match_all('/(\w+): /', $documented, $named);
            $this->assertSame($named[1], $keys($answer), $method);
        }
    }

    /**
     * @dataProvider wrongDeliveries
     * @param array<string, mixed> $options
     */
    public function testTheFakeRefusesWhatTheExtensionRefuses(array $options, string $why, string $message = 'm'): void
    {
        $this->assertNull($this->gateway->deliverToUid('ann', $message, $options));
        $this->gateway->onError = Gateway::ON_ERROR_THROW;
        $said = (string) self::thrownBy(fn () => $this->gateway->deliverToUid('ann', $message, $options));
        $this->assertStringStartsWith("the message was not delivered: $why", $said);
        $this->assertNull($this->gateway->inboxOf('ann'));
        $this->assertSame([], $this->gateway->sent);
    }

    /** @return array<string, array{array<string, mixed>, string, 2?: string}> */
    public static function wrongDeliveries(): array
    {
        return [
            'no option' => [['tll' => 5], 'there is no option "tll": there are id, ttl'],
            'no time' => [['ttl' => 0], 'ttl must be an int from 1 to 2592000'],
            'too long a time' => [['ttl' => 2592001], 'ttl must be'],
            'time as null' => [['ttl' => null], 'ttl must be'],
            'an id with a blank' => [['id' => 'a b'], 'id must be 1 to 64 letters'],
            'an id with a line end' => [['id' => "a\n"], 'id must be'],
            'a long key' => [['replace' => str_repeat('x', 65)], 'replace must be'],
            'no choice of devices' => [['new_device' => true], "new_device must be 'all' or"],
            'no choice of binary' => [['binary' => 1], 'binary must be a bool'],
            'a long message' => [[], 'it has 65537 bytes, more than the 65536', str_repeat('x', 65537)],
        ];
    }

    public function testWhatFailsWhileTheGatewayIsDownGivesNothing(): void
    {
        $this->gateway->failure = 'nobody listens';
        $this->assertNull($this->gateway->sendToUidCounted('ann', 'm'));
        $this->assertNull($this->gateway->sendToGroupCounted('news', 'm'));
        $this->assertSame([], $this->gateway->ask('ann', 'm'));
        $this->assertNull($this->gateway->deliverToUid('ann', 'm'));
        foreach (['receipt' => 'm', 'inboxOf' => 'ann', 'forget' => 'ann'] as $question => $argument) {
            $this->assertSame('nobody listens', self::thrownBy(fn () => $this->gateway->$question($argument)), $question);
        }
    }

    public function testAHandlerChangesADeliveryOrHoldsItBack(): void
    {
        $this->gateway->on(Gateway::EVENT_BEFORE_SEND, function (SendEvent $event): void {
            $event->isValid = $event->to !== 'bob';
            $event->message = "$event->message!";
        });
        $this->gateway->deliverToUid('ann', 'hello', ['id' => 'h']);
        $this->assertNull($this->gateway->deliverToUid('bob', 'hello'));
        $this->assertSame(['h' => 'hello!'], $this->gateway->inbox->messages('ann'));
        $this->assertNull($this->gateway->inboxOf('bob'));
    }

    public function testWhoIsClosedHasGone(): void
    {
        $this->gateway->joinGroup('c1', 'news');
        $this->gateway->joinGroup('c3', 'news');
        $this->gateway->closeUid(['ann', 'nobody'], ['type' => 'bye']);
        $this->assertSame([0, 1], [$this->gateway->isUidOnline('ann'), $this->gateway->isOnline('c3')]);
        $this->assertSame(1, $this->gateway->getClientIdCountByGroup('news'));
        $this->assertTrue($this->gateway->closeClient('c3'));
        $this->assertSame(0, $this->gateway->isOnline('c3'));
    }

    public function testWhatIsKnownOfAClientHasTheKeysOfTheClass(): void
    {
        $this->gateway->joinGroup('c1', 'news');
        $this->gateway->joinGroup('c1', 7);
        $info = $this->gateway->getClientInfo('c1');
        $this->assertSame(['connected', 'ann', ['news', '7']], [$info['state'], $info['uid'], $info['groups']]);
        $stub = self::stub();
        $documented = explode('public static function getClientInfo', $stub)[0];
        $documented = substr($documented, (int) strrpos($documented, '@return array{'));
        preg_match_all('/(\w+): /', $documented, $keys);
        $this->assertSame($keys[1], array_keys($info));
        $this->gateway->unbindUid('c1', 'ann');
        $this->assertNull($this->gateway->getClientInfo('c1')['uid']);
        $this->assertNull($this->gateway->getClientInfo('nobody'));
    }

    public function testWhatTheCurrentClientIsToldIsInNoCallEvent(): void
    {
        $calls = [];
        $this->gateway->on(Gateway::EVENT_AFTER_CALL, function (CallEvent $event) use (&$calls): void {
            $calls[] = [$event->method, $event->to, $event->bytes];
        });
        $this->gateway->sendToCurrentClient('secret');
        $this->gateway->closeCurrentClient('secret');
        $this->gateway->closeUid('ann', ['n' => 1]);
        $this->assertSame(
            [['sendToCurrentClient', null, 6], ['closeCurrentClient', null, 6], ['closeUid', 'ann', 7]],
            $calls
        );
    }

    public function testAHandlerChangesAMessageOrHoldsItBack(): void
    {
        $this->gateway->on(Gateway::EVENT_BEFORE_SEND, function (SendEvent $event): void {
            $event->isValid = $event->to !== 'bob';
            $event->message = "$event->message!";
        });
        $this->gateway->sendToUid('ann', 'hello');
        $this->gateway->sendToUid('bob', 'hello');
        $this->assertSame([['sendToUid', 'ann', 'hello!']], $this->gateway->sent);
    }

    public function testEveryCallIsToldOfAndNoSecret(): void
    {
        $calls = [];
        $this->gateway->on(Gateway::EVENT_AFTER_CALL, function (CallEvent $event) use (&$calls): void {
            $this->assertGreaterThanOrEqual(0.0, $event->seconds);
            $calls[] = [$event->method, $event->to, $event->bytes, $event->error];
        });
        $this->gateway->sendToUid(['ann', 7], 'grüß');
        $this->gateway->isUidOnline('ann');
        $this->gateway->bindUid('c3', 'bob');
        try {
            $this->gateway->nothingOfThatName('x');
            $this->fail('it is there');
        } catch (\BadMethodCallException $e) {
            $this->assertStringContainsString('nothingOfThatName', $e->getMessage());
        }
        $this->assertSame([
            ['sendToUid', ['ann', 7], 6, null],
            ['isUidOnline', 'ann', null, null],
            ['bindUid', 'c3', null, null],
        ], array_slice($calls, 0, 3));
        $this->assertNotNull($calls[3][3]);
        $this->assertSame('bob', $this->gateway->clients['c3']);
    }

    public function testASendThatFailsIsLoggedAndTheRequestGoesOn(): void
    {
        $failed = [];
        $this->gateway->on(Gateway::EVENT_SEND_FAILED, function (SendEvent $event) use (&$failed): void {
            $failed[] = $event->describe() . ': ' . $event->error?->getMessage();
        });
        $this->gateway->failure = 'nobody listens';
        \Yii::getLogger()->messages = [];
        $this->gateway->sendToUid('ann', 'hello');
        $this->assertFalse($this->gateway->sendToClient('c1', 'hello'));
        $this->assertSame(['sendToUid "ann": nobody listens', 'sendToClient "c1": nobody listens'], $failed);
        $this->assertSame([], $this->gateway->sent);
        $errors = array_filter(\Yii::getLogger()->messages, fn (array $line) => $line[1] === Logger::LEVEL_ERROR);
        $this->assertSame(
            ['sendToUid "ann" was not sent: nobody listens', 'sendToClient "c1" was not sent: nobody listens'],
            array_column($errors, 0)
        );
        $this->gateway->failure = null;
        $this->gateway->sendToUid('ann', 'again');
        $this->assertSame([['sendToUid', 'ann', 'again']], $this->gateway->sent);
    }

    public function testAQuestionThatFailsThrowsAndSendsDoWhereThatIsWanted(): void
    {
        $this->gateway->failure = 'nobody listens';
        foreach ([fn () => $this->gateway->isUidOnline('ann'), fn () => $this->gateway->bindUid('c1', 'ann')] as $call) {
            $this->assertSame('nobody listens', self::thrownBy($call));
        }
        $this->gateway->onError = Gateway::ON_ERROR_THROW;
        $this->assertSame('nobody listens', self::thrownBy(fn () => $this->gateway->sendToAll('hello')));
    }

    public function testAMistakeInTheProgramIsThrownAsSuch(): void
    {
        $gateway = new class extends FakeGateway {
            protected function call(string $method, array $arguments): mixed
            {
                throw new \TypeError('no such type');
            }
        };
        $this->assertSame('no such type', self::thrownBy(fn () => $gateway->sendToAll('hello')));
    }

    private static function thrownBy(callable $call): ?string
    {
        try {
            $call();
            return null;
        } catch (\Throwable $thrown) {
            return $thrown->getMessage();
        }
    }

    /** The class comment names them for editors and analysers, since __call() takes them all. */
    public function testEveryMethodOfTheClassIsNamed(): void
    {
        $old = ['getAllClientCount', 'getClientCountByGroup', 'destoryClient', 'destoryCurrentClient', 'getAllClientInfo'];
        $old = [...$old, 'getClientInfoByGroup', 'setBusinessWorker'];
        $stub = self::stub();
        [$class] = explode('class GatewayEvents', $stub);
        preg_match_all('/^    public static function (\w+)\((.*)\)$/m', $class, $all, PREG_SET_ORDER);
        $this->assertNotEmpty($all);
        $component = new \ReflectionClass(Gateway::class);
        foreach ($all as [, $method, $parameters]) {
            if (in_array($method, $old, true) || $component->hasMethod($method)) {
                continue;
            }
            // The parameters' names count, since calls with named arguments use them.
            preg_match_all('/\$(\w+)/', $parameters, $names);
            $named = implode(', ', array_map(fn (string $name) => "[^$]+\\$$name( = [^,]+)?", $names[1]));
            $line = "/ @method \S.* $method\\($named\\)\n/";
            $this->assertMatchesRegularExpression($line, (string) $component->getDocComment());
        }
    }

    /** @dataProvider wrongSettings */
    public function testWrongSettingsSayWhatIsWrong(array $settings, string $why): void
    {
        $this->expectException(InvalidConfigException::class);
        $this->expectExceptionMessage($why);
        new FakeGateway($settings);
    }

    public function testAFileHasAKeyForPagesAndConsole(): void
    {
        $file = self::file("a key\n");
        $component = new FakeGateway(['tokenKeyFile' => $file, 'secretKeyFile' => $file]);
        $this->assertSame(['a key', 'a key'], [$component->tokenKey, $component->secretKey]);
    }

    private static function file(string $text): string
    {
        $file = (string) tempnam(sys_get_temp_dir(), 'gateway-test-');
        file_put_contents($file, $text);
        register_shutdown_function('unlink', $file);
        return $file;
    }

    /** @return array<string, array{array<string, mixed>, string}> */
    public static function wrongSettings(): array
    {
        return [
            'no port' => [['registerAddress' => '127.0.0.1'], 'is no address such as 127.0.0.1:1238'],
            'none at all' => [['registerAddress' => []], 'is empty'],
            'neither' => [['onError' => 'ignore'], 'is neither "log" nor "throw"'],
            'an environment that FPM empties' => [['tokenKey' => (string) getenv('NOBODY_SETS_THIS')], 'clear_env = no'],
            'no file' => [['tokenKeyFile' => '@app/nowhere'], '/nowhere: there is no such file.'],
            'an empty file' => [['secretKeyFile' => self::file(" \n")], ': it is empty.'],
            'two keys' => [['tokenKey' => 'a key', 'tokenKeyFile' => '@app/nowhere'], 'are both set'],
            'no time' => [['connectTimeout' => 0], 'must be more than 0 seconds'],
        ];
    }
}
