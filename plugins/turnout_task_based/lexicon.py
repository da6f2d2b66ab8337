"""Words by what they are about, in English and, less fully, in a dozen other languages.

A corpus is never wide enough to meet every verb; a list of verbs is. The classifier learns what a concept is
worth, and so knows at once what *audit* or *überprüfe* is worth. A ``*`` ends a stem. Which words stand here
was decided by what they mean, not by counting them in a data set.
"""

import re
from functools import cache, lru_cache
from types import MappingProxyType

from attrs import frozen

CONCEPTS = MappingProxyType(
    {
        "make": """write implement* create* build code coding program* generat* make construct produce
            scaffold* port convert* migrate script* complete add design* hack prototype* give provide
            schreib* schreibe erstell* programmier* implementier* baue mach generier* écri* écris cré*
            crée implément* développ* génér* programme fais escrib* crea cree crear hazme desarroll*
            programa genera scrivi svilupp* implementa escreva crie cria desenvolv* gere faça schrijf
            maak bouw napisz stwórz zaimplementuj напиши написать создай создать реализуй сделай yaz
            oluştur viết tạo créer develop developing entwickle entwickeln""",
        "artifact": """function* method* class classes script* program programs app api apis endpoint*
            component* query queries regex regexp module* library package cli bot crawler scraper parser
            compiler website webpage page algorithm* code snippet struct macro formula dockerfile
            makefile yaml config workflow pipeline* test tests unittest* schema migration backend
            frontend server client daemon plugin extension game funktion* skript* programm klasse
            methode abfrage webseite fonction* script requête función funciones código codigo programa
            consulta funzione codice programma função funcao functie funkcj* skrypt функци* скрипт код
            программ* fonksiyon kod hàm""",
        "tech": """python javascript typescript java kotlin swift rust golang go ruby php perl scala
            haskell lua julia bash shell zsh powershell sql postgres* mysql sqlite mongodb redis html
            css sass react vue angular svelte nextjs node nodejs deno django flask fastapi rails laravel
            spring express docker kubernetes terraform ansible numpy pandas pytorch tensorflow sklearn
            matplotlib excel vba arduino esp32 linux git github graphql json xml csv cobol fortran
            matlab assembly verilog vhdl unity godot opencv selenium playwright pytest junit jest cpp
            csharp dart flutter webpack nginx latex""",
        "review": """review* audit* critiqu* refactor* optimi* improv* debug* troubleshoot* lint*
            simplif* clean* inspect harden* überprüf* prüf* verbesser* optimier* überarbeit* refaktor*
            relis revois amélior* corrig* optimis* revis* mejor* corrige depur* rivedi miglior* correggi
            melhor* verbeter* controleer popraw проверь исправь оптимизируй улучши sửa""",
        "bug": """bug bugs buggy bugfix error errors erro errore exception* crash* fail* fails failing
            broken breaks wrong incorrect* segfault* traceback stacktrace deadlock* flaky undefined null
            nullpointer* regression* vulnerab* insecure injection unsafe warning warnings fix fixes
            fixing doesn't doesnt won't isn't stuck hangs fehler* fehlgeschlagen kaputt abstürz*
            funktioniert erreur* bogue plante marche falla arregla funciona errori guasto funziona
            conserta fout fouten błąd ошибк* баг hata lỗi fallo leak leaks leaking""",
        "patch": """pr pull merge commit* diff* patch* changes changed branch codebase repo repository
            mergen""",
        "look": """look check verify spot see find anything something feedback opinion schau sieh
            vérifie revisa guarda""",
        "explain": """explain* describ* clarif* elaborat* erklär* beschreib* expliqu* décri* explica*
            explique describe* spiega* descrivi uitleggen wyjaśnij объясни опиши açıkla giải""",
        "compare": """compar* contrast* versus vs difference* differ tradeoff* pros cons advantage*
            disadvantage* strength* weakness* better worse prefer* alternative* vergleich* unterschied*
            vorteile nachteile différence* avantages inconvénients ventajas desventajas diferencia*
            vantaggi svantaggi confront* vantagens voordelen nadelen porównaj сравни разниц*""",
        "assess": """analy* assess* evaluat* examin* discuss* interpret* implication* impact* effect*
            influenc* consequence* trend* insight* insights correlat* hypothes* argu* perspective*
            ethic* critical* theme* significance factors causes diagnos* segment* cohort root benchmark*
            risk risks swot bewert* untersuch* diskutier* auswirkung* évalu* discut* analiz* evalú*
            valora* valut* discuti avali* beurteil* проанализируй оцени""",
        "extract": """extract* classif* categor* label* sentiment* identify identif* tag* cluster*
            group* rank* rate tabulate entities entity annotate extrahier* klassifizier* extrai* extrae
            extraer classifi* clasific* estrai извлеки""",
        "data": """data dataset* table tables sales revenue* survey* statistic* metrics kpi* churn
            conversion quarter* spreadsheet column* columns row rows figures chart* graph* reviews
            ratings results feedback experiment* daten tabelle umsatz données tableau ventes datos tabla
            ventas dati tabella dados""",
        "plan": """plan plans planning schedul* itinerar* roadmap* agenda* timeline* milestone* strateg*
            checklist* curriculum syllabus prioriti* rollout onboarding backlog breakdown workout
            routine regimen phases phase zeitplan reiseplan trainingsplan fahrplan ablauf* organisier*
            planifi* itinérair* calendrier planific* itinerario cronograma pianific* organizza roteiro
            planej* zaplanuj harmonogram спланируй план расписание kế organize organise organizing
            organising""",
        "span": """day days week weeks weekly month months monthly weekend* year deadline* sprint*
            budget* hours trip travel* vacation* holiday* visit* tage woche* monat* reise urlaub jour*
            semaine* mois voyage día días semana* mes meses viaje giorn* settiman* mese viaggio dias
            viagem weken dni tydzień недел* месяц* дней""",
        "solve": """solve* prove proof* calculat* comput* evaluate determine derive factor integrate
            differentiat* maximize minimize estimate deduce infer löse beweis* berechn* bestimme résou*
            démontr* calcul* prouv* détermin* resuelv* demuestr* demostrar hallar risolvi dimostra*
            resolva demonstre bereken bewijs rozwiąż oblicz udowodnij реши решить докажи вычисли найди
            найдите çöz tính giải chứng""",
        "math": """integral* derivative* equation* polynomial* matrix matrices eigenvalue* vector*
            theorem* lemma probabilit* triangle* circle* radius perimeter area volume angle* integer*
            prime primes divisible remainder modulo logarithm* sequence* series limit converge* sum
            product ratio fraction* percent percentage average mean variance permutation* combination*
            graph vertices function's hypotenuse velocity acceleration mass force kinetic voltage
            resistance current molar mole moles enthalpy equilibrium gleichung* ableitung dreieck*
            wahrscheinlichkeit primzahl* équation* dérivée probabilité ecuación ecuaciones derivada
            probabilidad triángulo equazione probabilità triangolo equação равен уравнени* вероятность
            треугольник* xác""",
        "word_problem": """total altogether remaining left twice thrice half times faster slower older
            younger speed per each costs cost paid pays earns bought sells sold gives shares travels
            leaves fills insgesamt doppelt chacun combien cuánto cuántos cuántas quanti quanto quantos
            ile сколько""",
        "logic": """puzzle* riddle* logic* premise* conclusion* conclude imply implies follow* therefore
            valid contradict* knights knaves liar liars truth statements statement true false opposite
            seated seating sits puzzle reasoning deduc* suppose assume rätsel énigme acertijo enigma
            загадк*""",
        "document": """context passage* document* text article* paragraph* excerpt* report* transcript*
            pdf pdfs manual* handbook chapter section sections page pages notes files file sources
            source attached attachment uploaded contract policy policies paper papers wiki knowledge
            snippets snippet retrieved chunks chunk logs minutes dokument* textes bericht* abschnitt*
            passage absatz anhang vertrag texte article contexte extrait texto contexto documento*
            artículo informe testo contesto brano articolo artigo relatório tekst bijlage текст*
            документ* контекст* отрывк* статье""",
        "grounded": """according based following above below provided using mention* mentioned mentions
            cite citing cited quote quotes says stated states contain* contains laut anhand folgenden
            folgende obigen gemäß selon d'après suivant basándote según siguiente secondo seguente
            seguinte согласно следующ*""",
        "seek": """search* locate lookup retrieve fetch grep such suche* finde cherche* busca* cerca
            zoek найди поищи where wo où dónde suche suchen""",
        "creative": """poem* story stories haiku* sonnet* limerick* song* lyrics rap novel* fiction*
            screenplay* dialogue* monologue character* fairy tale fable scene joke* pun puns rhyme*
            slogan* tagline* caption* riddle* fanfic* plot villain* hero gedicht* geschichte* märchen
            witz* poème* histoire* conte blague poema* cuento* historia* chiste* poesia* storia*
            barzelletta piada* verhaal wiersz* стих* рассказ* историю анекдот* şiir thơ truyện""",
        "letter": """email* e-mail letter* cover resume cv essay* blog tweet* toast speech* invitation*
            message greeting* bio description* ad advert* press newsletter linkedin instagram
            anschreiben bewerbung lettre courriel discours carta correo discurso lettera письмо пост""",
        "rewrite": """rewrite* rephras* paraphras* proofread* polish* shorten* reword* tone grammar
            grammatical* formal informal concise edit spelling typos summari* tldr condense umformulier*
            umschreib* korrektur zusammenfass* fasse reformul* résum* raccourci* reescrib* reformula*
            resum* resúm* riscriv* riassum* reescreva samenvat* перепиши перефразируй сократи""",
        "translate": """translat* übersetz* tradui* traduc* traduz* traduci traduire vertaal tłumacz*
            przetłumacz переведи перевод* çevir dịch""",
        "roleplay": """pretend roleplay act imagine you're persona stell spiel imagina immagina
            представь""",
        "chat": """hi hello hey thanks thank goodnight morning evening sorry hallo danke tschüss bonjour
            salut merci hola gracias ciao grazie olá obrigad* hoi cześć привет спасибо merhaba""",
        "who": """who whom whose when where which wer wann wo welche* qui quand où quel quelle quién
            cuándo dónde cuál quando dove quale quem onde qual wie kto kiedy gdzie кто когда где какой
            какая""",
        "what": """what what's whats was qu'est que qué cosa что""",
        "why": """why warum wieso weshalb pourquoi perché waarom dlaczego почему""",
        "how": """how wie cómo como hoe jak как""",
        "lookup": """capital population currency president invented born died located meaning mean means
            synonym* define definition abbreviation stands symbol spelled spell tallest longest largest
            biggest smallest name called convert weather time date remind alarm timer play turn
            hauptstadt bedeutet capitale signifie significa hoofdstad столица""",
    }
)

PHRASES = MappingProxyType(
    {
        "code_zh": "代码 程序 函数 脚本 编程 コード 関数 プログラム スクリプト 코드 함수 프로그램",
        "make_zh": "编写 实现 写一个 写个 开发 書いて 実装 作成 작성 만들어 구현",
        "bug_zh": "报错 错误 修复 调试 审查 バグ エラー 修正 レビュー デバッグ 버그 오류 수정 리뷰",
        "math_zh": (
            "求 证明 计算 解方程 概率 三角形 函数f 方程 多少 求め 証明 計算 確率 方程式 "
            "いくつ 구하 증명 계산 확률 방정식"
        ),
        "assess_zh": "分析 比较 评估 优缺点 影响 讨论 分析して 比較 評価 분석 비교 평가 장단점",
        "plan_zh": "计划 规划 行程 方案 安排 計画 予定 旅程 계획 일정",
        "document_zh": (
            "根据 上文 以下文章 文档 下面的文本 文章 本文 次の文 に基づ 다음 글 문서 본문 "
            "바탕으로"
        ),
        "creative_zh": "诗 故事 小说 歌词 笑话 詩 物語 小説 歌詞 시를 이야기 소설 가사 농담",
        "translate_zh": "翻译 译成 翻訳 訳して 번역",
        "rewrite_zh": "改写 润色 总结 摘要 書き直 要約 添削 요약 다듬",
        "who_zh": "谁 哪里 什么时候 哪个 是什么 誰 どこ いつ 何ですか とは 누구 어디 언제 무엇",
    }
)
"""Languages written without spaces: what to look for inside a line."""

_STOP_WORDS = """0 a an the of and to in on at is are was were be by for with as it its this that these
    those or from but not my your our their his her he she they we i you me us them there if so do does
    did has have had will would can could been any all some no one two which into than then also just
    more most very about der die das und ein eine einen den dem des zu im von mit auf für ist le la les
    un une des de du et en à que el los las y una por con il di e o os da do um uma"""

STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing alone; at the opening and in pairs they do."""

LONGEST_STEM, SHORTEST_STEM = 9, 3


@frozen
class _Lexicon:
    words: dict[str, str]
    stems: dict[str, str]
    phrases: dict[str, str]
    phrase: "re.Pattern[str]"


@cache
def _lexicon() -> _Lexicon:
    words: dict[str, str] = {}
    stems: dict[str, str] = {}
    for concept, listed in CONCEPTS.items():
        for word in listed.split():
            (stems if word.endswith("*") else words).setdefault(word.rstrip("*"), concept)
    phrases = {phrase: concept for concept, listed in PHRASES.items() for phrase in listed.split()}
    longest_first = sorted(phrases, key=len, reverse=True)
    return _Lexicon(words, stems, phrases, re.compile("|".join(map(re.escape, longest_first))))


@lru_cache(maxsize=4096)
def concept_of(word: str) -> str | None:
    """Return what the lower-case *word* is about; None when it says nothing of itself."""
    known = _lexicon()
    found = known.words.get(word)
    if found is not None:
        return found
    for end in range(min(len(word), LONGEST_STEM), SHORTEST_STEM - 1, -1):
        found = known.stems.get(word[:end])
        if found is not None:
            return found
    return None


def concepts_within(text: str) -> list[str]:
    """Return what a *text* without spaces between its words is about, in order."""
    known = _lexicon()
    return [known.phrases[phrase] for phrase in known.phrase.findall(text)]
