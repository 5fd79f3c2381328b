<?php

declare(strict_types=1);

namespace PushGateway\Yii2\debug;

use PushGateway\Yii2\CallEvent;
use PushGateway\Yii2\Gateway;
use PushGateway\Yii2\Translation;
use Yii;
use yii\base\Event;
use yii\debug\Panel;

/**
 * Shows the request's calls of the gateway in Yii's debugger, with their receivers, bytes, time and errors. Messages, tokens and
 * proofs are not kept.
 *
 * {@see \PushGateway\Yii2\Bootstrap} adds it to the debugger. Without it configure the debugger with
 * `'panels' => ['gateway' => \PushGateway\Yii2\debug\GatewayPanel::class]`.
 *
 * @phpstan-type Call array{method: string, to: ?string, bytes: ?int, seconds: float, error: ?string}
 */
class GatewayPanel extends Panel
{
    /** How many calls are kept. Those beyond are counted only. */
    private const MAX_CALLS = 500;
    private const MAX_RECEIVERS = 20;
    /** The longest text of receivers or of an error, in columns. */
    private const MAX_TEXT = 500;

    /** @var list<Call> */
    private array $calls = [];
    private int $count = 0;
    private int $failures = 0;
    private float $seconds = 0.0;

    public function init(): void
    {
        parent::init();
        Event::on(Gateway::class, Gateway::EVENT_AFTER_CALL, $this->keep(...));
    }

    public function getName(): string
    {
        return Translation::t('Gateway');
    }

    public function getSummary(): string
    {
        return $this->render('summary');
    }

    public function getDetail(): string
    {
        return $this->render('detail');
    }

    /** @return array{calls: list<Call>, count: int, failures: int, seconds: float} */
    public function save(): array
    {
        return [
            'calls' => $this->calls,
            'count' => $this->count,
            'failures' => $this->failures,
            'seconds' => $this->seconds,
        ];
    }

    private function keep(CallEvent $event): void
    {
        $this->count++;
        $this->failures += (int) ($event->error !== null);
        $this->seconds += $event->seconds;
        if (count($this->calls) < self::MAX_CALLS) {
            $this->calls[] = [
                'method' => $event->method,
                'to' => self::receivers($event->to),
                'bytes' => $event->bytes,
                'seconds' => $event->seconds,
                'error' => $event->error === null ? null : mb_strimwidth($event->error, 0, self::MAX_TEXT, '…', 'UTF-8'),
            ];
        }
    }

    /** @param string|int|list<string|int>|null $to */
    private static function receivers(string|int|array|null $to): ?string
    {
        if ($to === null) {
            return null;
        }
        $all = (array) $to;
        $some = array_slice($all, 0, self::MAX_RECEIVERS);
        $text = mb_strimwidth(implode(', ', $some), 0, self::MAX_TEXT, '…', 'UTF-8');

        return count($all) > count($some) ? "$text, … (" . count($all) . ')' : $text;
    }

    private function render(string $view): string
    {
        return Yii::$app->getView()->renderFile(__DIR__ . "/views/$view.php", ['panel' => $this, 'data' => $this->data]);
    }
}
