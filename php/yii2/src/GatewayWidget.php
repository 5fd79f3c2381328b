<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use Yii;
use yii\base\InvalidConfigException;
use yii\base\Widget;
use yii\helpers\Html;
use yii\helpers\Json;
use yii\helpers\Url;
use yii\web\JsExpression;
use yii\web\User;
use yii\web\View;

/**
 * Puts the browser client on a page and connects it:
 *
 *     <?= GatewayWidget::widget(['url' => 'wss://example.com/ws', 'tokenRoute' => ['site/token']]) ?>
 *
 * Scripts of the page then find it as `gateway`:
 *
 *     gateway.on('comment', message => …);
 */
class GatewayWidget extends Widget
{
    private const SCHEMES = '~^(wss?|https?)://[^/?#\s]+([/?][^#\s]*)?\z~i';

    /** The options of the client that are no functions, as docs/browser-client.md has them. */
    private const CLIENT_OPTIONS = [
        'tokenIn', 'protocols', 'minDelay', 'maxDelay', 'hiddenMaxDelay', 'connectTimeout', 'ping', 'pingInterval', 'pingTimeout',
        'queueBytes', 'resume', 'resumeTab',
    ];

    private const CLIENT_EVENTS = ['open', 'bound', 'close', 'reconnecting', 'recovered', 'gap', 'overflow', 'error', 'raw'];

    /** Where browsers reach the gateway: `wss://example.com/ws`, or a path such as `/ws` on the page's own site. */
    public string $url = '';

    /** @var array<mixed>|string|null route of a {@see TokenAction}, from which pages of users get a new token for each connection */
    public array|string|null $tokenRoute = null;

    /** @var array<mixed>|string|null route of a {@see BindUidAction}, for pages without a token */
    public array|string|null $bindRoute = null;

    /** The JavaScript variable that holds the client. Widgets with the same name share one connection. */
    public string $name = 'gateway';

    /** @var array<string, string|JsExpression> JavaScript functions by the type of the messages that they get, `*` for all */
    public array $on = [];

    /** @var array<string, string|JsExpression> JavaScript functions by the client's own events: `open`, `bound`, `close`, … */
    public array $clientEvents = [];

    /** @var array<string, mixed> more of the client's options, such as `tokenIn`, `maxDelay` or `ping` */
    public array $clientOptions = [];

    /** Whether to show the state of the connection, and whether a page that is back has missed anything, in the user's language. */
    public bool $showState = false;

    /** @var array{tag?: string, ...<string, mixed>} attributes of the element that shows the state; `tag` names the element */
    public array $stateOptions = [];

    public function init(): void
    {
        parent::init();
        if (!preg_match(self::SCHEMES, $this->url) && !preg_match('~^/(?!/)[^#\s\\\\]*\z~', $this->url)) {
            $why = Json::encode($this->url) . ' is no address such as wss://example.com/ws, nor a path.';
            throw $this->configError('url', $why);
        }
        if ($this->tokenRoute !== null && $this->bindRoute !== null) {
            throw $this->configError('tokenRoute', 'a page that comes with a token is bound, so bindRoute must not be set.');
        }
        if (!preg_match('/^[a-z_$][\w$]*\z/i', $this->name)) {
            throw $this->configError('name', Json::encode($this->name) . ' is no name of a JavaScript variable.');
        }
        $this->checkKeys('clientEvents', $this->clientEvents, self::CLIENT_EVENTS);
        $this->checkKeys('clientOptions', $this->clientOptions, self::CLIENT_OPTIONS);
    }

    public function run(): string
    {
        $view = $this->getView();
        GatewayAsset::register($view);
        if ($this->tokenRoute !== null || $this->bindRoute !== null) {
            $view->registerCsrfMetaTags();
        }
        $arguments = array_map(Json::htmlEncode(...), [
            array_filter($this->settings(), fn ($setting) => $setting !== null),
            (object) array_map($this->deferred(...), $this->on),
            (object) array_map($this->deferred(...), $this->clientEvents),
        ]);
        $script = "window.$this->name = GatewayWidget(" . implode(', ', $arguments) . ');';
        $view->registerJs($script, View::POS_END, self::class . " $this->name");

        return $this->showState ? $this->renderState() : '';
    }

    /** @return array<string, mixed> */
    private function settings(): array
    {
        $user = Yii::$app->get('user', false);
        $isUser = $user instanceof User && !$user->getIsGuest();
        $options = $this->clientOptions;
        if ($isUser && $this->bindRoute !== null) {
            $options['bind'] = Url::to($this->bindRoute);
        }

        if (($options['resumeTab'] ?? false) === true) {
            // Who logs in or out in a tab must not go on as the client of the user before.
            $options['resumeTab'] = $isUser ? 'user ' . $user->getId() : 'nobody';
        }

        return [
            'url' => $this->url,
            'tokenUrl' => $isUser && $this->tokenRoute !== null ? Url::to($this->tokenRoute) : null,
            'stateElement' => $this->showState ? ['element' => $this->getId(), 'labels' => self::labels()] : null,
            'options' => (object) $options,
        ];
    }

    private function renderState(): string
    {
        $options = ['id' => $this->getId(), 'data-state' => 'connecting', 'role' => 'status'] + $this->stateOptions;
        $tag = $options['tag'] ?? 'span';
        unset($options['tag']);
        Html::addCssClass($options, ['widget' => 'gateway-state']);

        return Html::tag($tag, Html::encode(Translation::t('connecting')), $options);
    }

    /** @return array<string, string|array<string, string>> by the client's states, and what its events `recovered` and `gap` say */
    private static function labels(): array
    {
        return [
            'connecting' => Translation::t('connecting'),
            'open' => Translation::t('connected'),
            'waiting' => Translation::t('away, coming back'),
            'closed' => Translation::t('disconnected'),
            'recovered' => Translation::t('connected, missed messages recovered: {n}'),
            'gap' => Translation::t('connected, messages may be missing: {reason}'),
            'reasons' => [
                'expired' => Translation::t('away for too long'),
                'overflow' => Translation::t('too much came meanwhile'),
                'restarted' => Translation::t('the gateway was restarted'),
                'closed' => Translation::t('closed by this site'),
                'identity' => Translation::t('another user has logged in'),
                'raw' => Translation::t('some of them cannot be sent again'),
                'moved' => Translation::t('connected to another gateway'),
                'unknown' => Translation::t('the gateway does not know this page'),
                'none' => Translation::t('begun anew'),
            ],
        ];
    }

    /** Wraps the code in a function, so that the page connects although the handler is missing, or a later script defines it. */
    private function deferred(string|JsExpression $code): JsExpression
    {
        return new JsExpression("() => ($code\n)");
    }

    /**
     * @param array<string, mixed> $given
     * @param list<string> $known
     */
    private function checkKeys(string $property, array $given, array $known): void
    {
        foreach (array_keys($given) as $key) {
            if (!in_array($key, $known, true)) {
                throw $this->configError($property, Json::encode($key) . ' is none of ' . implode(', ', $known) . '.');
            }
        }
    }

    private function configError(string $property, string $why): InvalidConfigException
    {
        return new InvalidConfigException(static::class . "::\$$property: $why");
    }
}
